"""The plan of a race and its cost, shown before the first paid request is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import ClassVar

from textual.binding import BindingType
from textual.content import Content

from kmon.address import host_and_port
from kmon.engine.plan import RacePlan
from kmon.format import plural
from kmon.retry.policy import policy_words
from kmon.tui.keymap import bindings
from kmon.tui.options import ScreenOptions
from kmon.tui.screen import PageScreen
from kmon.tui.spans import one_line, shorten

NOTE_CELLS = 68


class PlanScreen(PageScreen[bool]):
    """Enter starts, Esc leaves."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("plan")

    def __init__(self, options: ScreenOptions, *, again: bool) -> None:
        content = plan_content(
            options.plan, options.key_notes, options.shown_origin, notes=options.plan_notes, again=again
        )
        super().__init__(content, id="plan-screen", page_id="plan", ascii=options.ascii)

    def action_decide(self, go: bool) -> None:
        self.dismiss(go)


def plan_content(
    plan: RacePlan, key_notes: Mapping[str, str], origin: str, *, notes: Sequence[str] = (), again: bool = False
) -> Content:
    """The plan in words: rows, rounds, the number of paid requests, and the upper bound of output tokens; ``notes``
    are further sentences."""
    parts: list[str | tuple[str, str]] = [
        ("\nkmon", "bold"),
        f"  {_verb(plan, again=again)}\n\n",
    ]
    asked = [(row.target, row.scenario.name) for row in plan.rows]
    for target, role in (*asked, *((target, "if need be") for target in plan.policy.fallback)):
        parts.append((f"  {shorten(one_line(target.name), 24):<24} ", "bold $primary"))
        parts.append(f"{one_line(role):<12} ")
        parts.append((f"{shorten(one_line(target.model), 30)}\n", "$kmon-muted"))
        note = key_notes.get(target.name, "")
        if note:
            parts.append((f"  {'':<24} key: {shorten(one_line(note), 40)}\n", "$kmon-muted"))
        if plan.fed is not None:
            parts.append((f"  {'':<24} at: {shorten(host_and_port(target.base_url), 42)}\n", "$kmon-muted"))
    parts.append(f"\n  {_rounds(plan)}\n")
    learned = " (until a target's own gaps teach more)" if plan.learn_stall else ""
    limit = f"time limit {plan.policy.timeout_s:g} s per attempt"
    parts.append(f"  a stall is {plan.stall_s:g} s without a token{learned}; {limit}\n")
    if policy := policy_words(plan.policy.non_default()):
        parts.append(f"  {one_line(policy)}\n")
    for note in notes:
        parts.append("\n".join(wrap(one_line(note), NOTE_CELLS, initial_indent="  ", subsequent_indent="    ")) + "\n")
    parts.append("\n")
    if origin:
        parts.append((f"  {origin}: no provider is asked, nothing is paid\n", "bold"))
    else:
        most = "" if plan.fed is None else "at most "
        parts.append((f"  {most}{plural(plan.requests, 'paid request')}", "bold $warning"))
        parts.append(f", at most {plan.max_output_tokens} output tokens in all\n")
        extra = "every nudge and every retry by hand is one more request"
        if plan.policy.retries or plan.policy.fallback:
            extra = f"retries and fallbacks are counted as if all were needed; {extra}"
        parts.append((f"  {extra}\n", "$kmon-muted"))
    parts += [
        "\n  ",
        ("Enter", "bold $accent"),
        " starts   ",
        ("Esc", "bold $accent"),
        " back\n" if again else " leaves\n",
    ]
    return Content.assemble(*parts)


def _verb(plan: RacePlan, *, again: bool) -> str:
    if plan.fed is not None:
        return "isolates this again" if again else "will isolate why this fails, among"
    return "runs this race again" if again else "will race"


def _rounds(plan: RacePlan) -> str:
    at_once = f", at most {plan.concurrency} at once" if plan.concurrency else ""
    if plan.fed is not None:
        return f"few requests at a time, each time by what the last have shown, changed at random{at_once}"
    together = at_once or ", each round started together"
    return f"{plural(plan.rounds, 'round')} of {plural(len(plan.rows), 'run')}{together}"
