"""Promises of the stuck chat, with real sockets on every side: each mechanism is reproduced and told apart."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from tests.support.cli import clean_env, kmon

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("measures")]


def events(*arguments: str, cwd: Path) -> list[dict[str, object]]:
    command = [sys.executable, "-m", "kmon", "run", "--demo", "stuck-tui", "--json", *arguments]
    done = subprocess.run(command, cwd=cwd, env=clean_env(cwd), capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_each_mechanism_shows_its_claim_and_gets_its_verdict(tmp_path: Path) -> None:
    told = events("--speed", "5", "--stall", "1", "--nudge-after", "2", cwd=tmp_path)
    names = {event["run"]: event["target"] for event in told if event["type"] == "run_queued"}
    claims, verdicts = defaultdict(list), defaultdict(list)
    for event in told:
        if event["type"] == "claim":
            claims[names[event["run"]]].append(str(event["claim"]))
        if event["type"] == "diagnosis":
            verdicts[names[event["run"]]].append(event["name"])
    assert "adapter-buffering" in verdicts["a-adapter-buffers"]
    assert "provider-stall" in verdicts["b-follow-up"]
    assert "queued-follow-up" in verdicts["b-follow-up"]
    assert "chat-link-lost" in verdicts["c-silent-retry"]
    assert any(claim.endswith("| idle") for claim in claims["b-follow-up"][:-1]), "no false idle"
    assert claims["c-silent-retry"][-1].endswith("| error")
    ended = {str(event["target"]): event for event in told if event["type"] == "run_ended"}
    assert {target: event["state"] for target, event in ended.items()} == dict.fromkeys(ended, "done")
    assert "beneath it: the provider sent" in str(ended["a-adapter-buffers"]["diagnosis"])
    assert all(event["text"] for event in ended.values())


@pytest.mark.parametrize("more", [["together"], ["--scenario", "code"], ["--profile", "demo"]])
def test_the_demonstration_takes_no_targets_beside_it(more: list[str], tmp_path: Path) -> None:
    refused = kmon("run", "--demo", "stuck-tui", *more, cwd=tmp_path)
    assert refused.returncode == 2
    assert "name no other target, scenario, profile, fault or session" in refused.stderr
