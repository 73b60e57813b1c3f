"""Promises of the screen about blame: short in the pane, whole in the zoom, and no accusation for what is our own."""

from __future__ import annotations

import asyncio

from kmon.stream import events as ev
from kmon.stream.blame import Blame
from kmon.stream.state import derive
from kmon.stream.view import RaceView
from kmon.tui.event_reader import EventReader
from kmon.tui.pane_drawing import Flow, Look, draw_pane
from kmon.tui.toasts import gather
from kmon.tui.zoom_gaps import gap_rows
from tests.support.scripted import S, Script, race
from tests.support.tui_stage import Stage

OURS = Blame("us", "certain", "kmon was late", "kmon late by 3.00 s: kmon itself stood still for 3.0 s of it")
THEIRS = Blame("beyond", "likely", "provider or a relay", "canary on time: the silence is beyond 1.2.3.4", "1.2.3.4")

CLIENTS = Blame("client", "certain", "takes nothing", "the client has not taken what was passed on to it for 3.0 s")


def stalled(blame: Blame, name: str = "r1", target: str = "together") -> Script:
    script = Script(name, target).start().say(0.5, "words")
    script.events.append(ev.StallStarted(6 * S, name, 1, "mid-text", 5_400.0, blame=blame))
    return script


def view_of(*scripts: Script) -> RaceView:
    view = RaceView()
    for event in race(scripts):
        view.apply(event)
    return view


def pane(view: RaceView) -> str:
    run = view.runs["r1"]
    rows = draw_pane(run, derive(run, 9 * S), Flow(), 60, 9, 9 * S, Look())
    return "\n".join("".join(span.text for span in row) for row in rows)


def zoomed(view: RaceView, width: int = 70) -> str:
    rows = gap_rows(view.runs["r1"], width, 9 * S, Look()).rows
    return "\n".join("".join(span.text for span in row) for row in rows)


def test_a_stalled_pane_says_in_a_few_words_whose_it_is() -> None:
    view = view_of(stalled(THEIRS))
    assert "beyond 1.2.3.4: provider or a relay" in pane(view)
    view.apply(ev.Blamed(8 * S, "r1", 1, OURS))
    assert "us: kmon was late" in pane(view)
    view.apply(ev.StallEnded(9 * S, "r1", 1, "mid-text", 8_400.0, blame=OURS))
    view.apply(ev.DeltaArrived(9 * S, "r1", 1, "text", "more"))
    assert "us: kmon was late" not in pane(view)


def test_the_zoom_shows_all_evidence_of_open_and_of_ended_stalls() -> None:
    view = view_of(stalled(THEIRS))
    assert "canary on time: the silence is beyond 1.2.3.4" in " ".join(zoomed(view).split())
    view.apply(ev.StallEnded(9 * S, "r1", 1, "mid-text", 8_400.0, blame=OURS))
    view.apply(ev.DeltaArrived(9 * S, "r1", 1, "text", "more"))
    assert "kmon itself stood still for 3.0 s of it" in " ".join(zoomed(view).split())


def test_a_silence_of_this_process_blames_no_other_party() -> None:
    run = view_of(stalled(OURS)).runs["r1"]
    assert derive(run, 9 * S).contradiction == "silent 8.5 s, but that is us: kmon was late"
    run = view_of(stalled(CLIENTS)).runs["r1"]
    assert derive(run, 9 * S).contradiction == "silent 8.5 s, but that is the client: takes nothing"
    assert "claims streaming" in derive(view_of(stalled(THEIRS)).runs["r1"], 9 * S).contradiction


async def test_toasts_tell_our_own_silences_from_theirs() -> None:
    feed = EventReader(lambda: asyncio.sleep(0), lambda work, _: work.close())  # type: ignore[arg-type,return-value]
    feed.race = view_of(stalled(OURS, "r1", "groq"), stalled(THEIRS, "r2", "together"), stalled(CLIENTS, "r3", "nim"))
    feed.stalls = [ev.StallStarted(S, "r1", 1, "mid-text", 5e3, blame=OURS)]
    feed.stalls.append(ev.StallStarted(S, "r2", 1, "mid-text", 5e3, blame=THEIRS))
    feed.stalls.append(ev.StallStarted(S, "r3", 1, "mid-text", 5e3, blame=CLIENTS))
    told = [said.message for said in gather(feed, runs_are_told=False)]
    assert told == [
        "stalled: together (mid-text)",
        "silent, but that is us: groq (kmon was late)",
        "silent, but that is the client: nim (takes nothing)",
    ]


async def test_the_whole_evidence_is_on_the_zoomed_screen() -> None:
    stage = Stage([stalled(THEIRS)])
    async with stage.app.run_test(size=(100, 30)) as pilot:
        await stage.settle(pilot)
        await stage.press(pilot, "z", "right")
        await stage.until(pilot, lambda: "the silence is beyond 1.2.3.4" in stage.text(), "the blame in the gaps tab")
