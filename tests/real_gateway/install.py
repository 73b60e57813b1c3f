"""Installs a release of the real gateway, and a node that is new enough for it, from npm into a cache directory."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import platformdirs

NODE = "24.21.0"
RELEASES = ("2026.9.6", "2026.2.17")
_LIMIT_S = 900
_OVERRIDES: dict[str, dict[str, str]] = {
    # Its libsignal comes from a git host and the newest linkedom wants a package that npm does not have.
    "2026.2.17": {"libsignal": "file:./libsignal-stub", "linkedom": "0.18.12"},
}


class Installed:
    """Where a release and its node are."""

    def __init__(self, release: str, root: Path) -> None:
        self.release = release
        self.node = root / "node" / "node_modules" / "node" / "bin" / "node"
        self.entry = root / release / "node_modules" / "openclaw" / "openclaw.mjs"


def installed(release: str) -> Installed:
    """The release, installed if it was not yet. Raises CalledProcessError with npm's own words on stderr."""
    root = Path(os.environ.get("KMON_REAL_GATEWAY_DIR") or platformdirs.user_cache_path("kmon") / "real-gateway")
    there = Installed(release, root)
    if not there.node.exists():
        _install(root / "node", {"node": NODE}, {}, scripts=True)
    if not there.entry.exists():
        overrides = _OVERRIDES.get(release, {})
        if "libsignal" in overrides:
            _stub(root / release / "libsignal-stub")
        _install(root / release, {"openclaw": release}, overrides, scripts=False)
    return there


def _install(folder: Path, packages: dict[str, str], overrides: dict[str, str], *, scripts: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    package = {"private": True, "dependencies": packages, "overrides": overrides}
    (folder / "package.json").write_text(json.dumps(package))
    arguments = ["npm", "install", "--no-audit", "--no-fund", *([] if scripts else ["--ignore-scripts"])]
    subprocess.run(arguments, cwd=folder, check=True, timeout=_LIMIT_S, stdout=subprocess.DEVNULL)


def _stub(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "index.js").write_text("module.exports = {}\n")
    (folder / "package.json").write_text(json.dumps({"name": "libsignal", "version": "2.0.0", "main": "index.js"}))
