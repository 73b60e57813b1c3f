"""Promises about weight: nothing below the screen knows Textual, and small commands import little."""

import subprocess
import sys
from graphlib import TopologicalSorter

import grimp
import pytest

BELOW_THE_SCREEN = (
    "kmon.cli", "kmon.commands.build_plan", "kmon.commands.stuck_demo", "kmon.config.sources", "kmon.catalog.resolve",
    "kmon.dialects.chat", "kmon.transport.http", "kmon.probe.http_attempt", "kmon.hosts", "kmon.engine.process",
    "kmon.recording", "kmon.output.headless", "kmon.output.decode", "kmon.output.doctor", "kmon.simulator.serve",
)  # fmt: skip


def modules_after(statement: str) -> set[str]:
    """The top-level modules of a fresh interpreter after ``statement``.

    httpx imports rich for its own command line wherever click is installed, as it is beside the linters; kmon itself
    does not bring click along.
    """
    before, after = "sys.modules['click'] = None", "print(*{name.split('.')[0] for name in sys.modules})"
    script = f"import sys\n{before}\n{statement}\n{after}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", BELOW_THE_SCREEN)
def test_nothing_below_the_screen_imports_textual(module: str) -> None:
    assert not {"textual", "rich"} & modules_after(f"import {module}")


def test_help_of_no_command_imports_a_network_library_or_a_screen() -> None:
    loaded = modules_after("from kmon.cli import COMMANDS, parser_of\nfor name in ('', *COMMANDS): parser_of(name)")
    heavy = {"httpx", "httpcore", "textual", "aiohttp", "aiobotocore", "yaml", "asyncio", "ssl"}
    assert not heavy & loaded
    assert "msgspec" not in modules_after("from kmon.cli import parser_of\nparser_of('')")


def test_a_race_imports_no_client_of_another_dialect() -> None:
    assert not {"aiobotocore", "botocore", "aiohttp", "yaml", "openai"} & modules_after("import kmon.engine.supervisor")


def test_a_simulated_provider_imports_nothing_of_the_gateway() -> None:
    assert not {"aiohttp", "cryptography"} & modules_after("import kmon.commands.sim, kmon.simulator.serve")


def test_no_module_imports_itself_over_others() -> None:
    graph = grimp.build_graph("kmon")  # imports inside functions and those for types only count as well
    modules = set(graph.modules)
    imports = {module: graph.find_modules_directly_imported_by(module) & modules for module in modules}
    assert len(modules) > 150
    TopologicalSorter(imports).prepare()  # raises CycleError, which names the circle
