"""The modules of the screen import each other in one direction only, imports for type checking included."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import kmon.tui


def imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    found = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    whole = {name.name for node in found if node.module == "kmon.tui" for name in node.names}
    return whole | {
        node.module.removeprefix("kmon.tui.") for node in found if (node.module or "").startswith("kmon.tui.")
    }


def test_no_module_imports_itself_through_another() -> None:
    modules = {path.stem: imported(path) for path in Path(kmon.tui.__file__).parent.glob("*.py")}
    assert "app" in modules["launch"]
    TopologicalSorter(modules).prepare()  # raises CycleError, which names them
