"""Promises about a real terminal: it is drawn, keys work, hostile text is harmless, and it is left as it was found."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.support.loopback import chunked
from tests.support.processes import all_gone, children
from tests.support.terminal import DEMO, Terminal
from tests.support.threaded_provider import chunk, provider

pytestmark = pytest.mark.slow

ALTERNATE_SCREEN_OFF = b"\x1b[?1049l"
HOSTILE = (
    "\x1b]52;c;cHduZWQ=\x07", "\x1b]0;owned title\x07", "\x1b[2J\x1b[31m", "\x9b41m", "\u202egnp.exe",
    "[@click=app.quit]click[/]", "[bold]x[/", "\x1b", "]52;c;c3BsaXQ=", "\x07", "\ud83d",
)  # fmt: skip


def kmon(url: str, *more: str) -> list[str]:
    return ["--base-url", url, "--model", "m", "--yes", *more]


def test_hostile_model_text_reaches_the_terminal_as_harmless_characters(tmp_path: Path) -> None:
    invalid_utf8 = chunked(b'data: {"choices":[{"index":0,"delta":{"content":"a\xff\xfe\xc3b"}}]}\n\n')
    with provider(*(chunk(word) for word in HOSTILE), invalid_utf8, chunk("END-OF-IT", "stop")) as server:
        with Terminal(kmon(server.url), cwd=tmp_path) as terminal:
            terminal.until(lambda text: "END-OF-IT" in text and "done" in text, "the end of the answer")
            terminal.press("z")
            terminal.until(lambda text: "Raw" in text, "the zoomed pane")
            terminal.press("\x1b")
            terminal.until(lambda text: "Raw" not in text, "the grid again")
            terminal.press("q")
            assert terminal.ended() == 0
    raw = bytes(terminal.raw)
    for poison in (b"\x1b]52;", b"\x1b]0;owned", "\x9b".encode(), "\u202e".encode()):
        assert poison not in raw
    assert b"[@click=app.quit]click[/]" in raw


def test_ten_megabytes_without_a_newline_do_not_stop_the_screen(tmp_path: Path) -> None:
    with provider(*[chunk("x" * 1_000_000)] * 10, chunk("TAIL", "stop")) as server:
        with Terminal(kmon(server.url), cwd=tmp_path) as terminal:
            terminal.until(lambda text: "TAIL" in text, "the tail of ten megabytes", 60)
            terminal.press("q")
            assert terminal.ended() in (0, 130)  # the end of the run itself may still be under way


@pytest.mark.parametrize("how", ["ctrl-c", "SIGTERM", "hang-up", "SIGKILL"])
def test_every_way_out_closes_the_streams_and_takes_the_children_along(how: str, tmp_path: Path) -> None:
    with provider(chunk("flowing"), hold=True) as server:
        with Terminal(kmon(server.url), cwd=tmp_path) as terminal:
            terminal.until(lambda text: "flowing" in text, "the first words")
            offspring = children(terminal.process.pid)
            assert offspring or not Path("/proc").is_dir()
            match how:
                case "ctrl-c":
                    terminal.press("\x03")
                case "SIGTERM":
                    terminal.process.send_signal(signal.SIGTERM)
                case "hang-up":
                    terminal.hang_up()
                case "SIGKILL":
                    terminal.process.kill()
            code = terminal.ended()
        assert server.closed.wait(20)
    if how in ("ctrl-c", "SIGTERM"):
        assert code == 130
        assert ALTERNATE_SCREEN_OFF in terminal.raw
        assert b"cancelled" in terminal.raw.rpartition(ALTERNATE_SCREEN_OFF)[2]
    assert all_gone(offspring)


@pytest.mark.parametrize("controlling", [True, False], ids=["with SIGHUP", "without a signal"])
def test_a_busy_screen_whose_terminal_goes_away_leaves_no_process_behind(controlling: bool, tmp_path: Path) -> None:
    with Terminal(DEMO, cwd=tmp_path, controlling=controlling) as terminal:
        terminal.until(lambda text: "streaming" in text, "streams")
        offspring = children(terminal.process.pid)  # the engine and the simulator
        assert len(offspring) == 2 or not Path("/proc").is_dir()
        terminal.hang_up()
        assert terminal.ended() == 130
    assert all_gone(offspring)


@pytest.mark.parametrize("sign", ["kmon", "engine ok"])
def test_sigterm_at_any_moment_of_the_start_is_told_by_the_exit_code(sign: str, tmp_path: Path) -> None:
    with Terminal(DEMO, cwd=tmp_path) as terminal:
        terminal.until(lambda text: sign in text, sign)
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.ended() == 130


def test_a_key_reaches_the_provider_and_nothing_else(tmp_path: Path) -> None:
    key = "sk-terminal-secret-42"
    (tmp_path / ".env").write_text(f"HOUSE_KEY={key}\n")
    with provider(chunk("hello", "stop")) as server:
        with Terminal(kmon(server.url, "--api-key-env", "HOUSE_KEY"), cwd=tmp_path) as terminal:
            terminal.until(lambda text: "done" in text, "the end")
            terminal.press("z")
            terminal.until(lambda text: "Raw" in text, "the zoomed pane")
            terminal.press("\x1b")
            terminal.until(lambda text: "Raw" not in text, "the grid again")
            terminal.press("q")
            assert terminal.ended() == 0
    assert f"authorization: bearer {key}".encode() in server.requests[0].lower()
    assert key.encode() not in terminal.raw


def test_the_plan_of_a_paid_race_waits_for_enter(tmp_path: Path) -> None:
    with provider(chunk("hello", "stop")) as server:
        arguments = ["--base-url", server.url, "--model", "m", "--count", "3"]
        with Terminal(arguments, cwd=tmp_path) as terminal:
            plan = terminal.until(lambda text: "Enter" in text, "the plan")
            assert "3" in plan
            assert server.requests == []
            terminal.press("\r")
            terminal.until(lambda text: "round 3 of 3" in text, "the third round")
            terminal.press("q")
            terminal.ended()
    assert len(server.requests) == 3


def test_without_keys_it_starts_at_once_and_says_it_is_simulated(tmp_path: Path) -> None:
    with Terminal([], cwd=tmp_path) as terminal:
        terminal.until(lambda text: "simulated" in text and "streaming" in text, "a simulated race")
        terminal.press("q")
        assert terminal.ended() == 130
