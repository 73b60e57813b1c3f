"""A palette: the named colours of a theme, and the styles the screen draws with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rich.style import Style
from textual.theme import Theme

UI = ("background", "panel", "foreground", "muted", "border", "focus", "accent")
STATES = (
    "queued", "connecting", "waiting", "streaming", "stalled", "finishing", "done", "incomplete", "failed",
    "timed-out", "cancelled",
)  # fmt: skip
OUTPUT = ("text", "reasoning", "tool", "nudge")
GAP = ("calm", "stall", "threshold")
SECTIONS: Mapping[str, tuple[str, ...]] = {"ui": UI, "state": STATES, "output": OUTPUT, "gap": GAP}

TEXT_KEYS = (
    *(f"{section}.{key}" for section in ("state", "output") for key in SECTIONS[section]),
    "ui.foreground", "ui.muted", "ui.accent", "ui.focus", "gap.stall", "gap.threshold",
)  # fmt: skip
"""The colours that words are written in: each must be readable on the background and on the panel."""


@dataclass(frozen=True)
class Palette:
    """Colours as ``#rrggbb`` by ``section.key``; every key of ``SECTIONS`` is there."""

    name: str
    dark: bool
    colours: Mapping[str, str]

    def theme(self) -> Theme:
        """The palette as a Textual theme, for toasts, scroll bars, the command palette and the plan."""
        colour = self.colours
        return Theme(
            name=self.name,
            dark=self.dark,
            primary=colour["ui.focus"],
            secondary=colour["ui.muted"],
            accent=colour["ui.accent"],
            foreground=colour["ui.foreground"],
            background=colour["ui.background"],
            surface=colour["ui.background"],
            panel=colour["ui.panel"],
            success=colour["state.done"],
            warning=colour["state.stalled"],
            error=colour["state.failed"],
            variables={
                "kmon-border": colour["ui.border"],
                "kmon-muted": colour["ui.muted"],
                "scrollbar": colour["ui.border"],
                "scrollbar-background": colour["ui.background"],
                "scrollbar-hover": colour["ui.focus"],
                "scrollbar-active": colour["ui.focus"],
                "scrollbar-background-hover": colour["ui.background"],
                "scrollbar-background-active": colour["ui.background"],
                "scrollbar-corner-color": colour["ui.background"],
                "footer-key-foreground": colour["ui.accent"],
            },
        )

    def styles(self) -> dict[str, Style]:
        """Every style of the screen by name. Colour never carries information alone."""
        c = self.colours
        page, bar = c["ui.background"], c["ui.panel"]

        def style(
            key: str, ground: str = page, *, bold: bool = False, italic: bool = False, reverse: bool = False
        ) -> Style:
            return Style(color=c[key], bgcolor=ground, bold=bold, italic=italic, reverse=reverse)

        styles = {
            "border": style("ui.border"),
            "border.focus": style("ui.focus", bold=True),
            "title": style("ui.foreground", bold=True),
            "title.dim": style("ui.muted"),
            "muted": style("ui.muted"),
            "figure": style("ui.muted"),
            "figure.bold": style("ui.foreground", bold=True),
            "error": style("state.failed"),
            "text": style("output.text"),
            "text.gutter": style("output.text"),
            "reasoning": style("output.reasoning", italic=True),
            "reasoning.gutter": style("output.reasoning"),
            "tool": style("output.tool"),
            "tool.gutter": style("output.tool", bold=True),
            "nudge": style("output.nudge"),
            "cursor": style("ui.accent", bold=True),
            "gap.calm": style("gap.calm"),
            "gap.stall": style("gap.stall", bold=True),
            "gap.threshold": style("gap.threshold"),
            "brand": Style(color=page, bgcolor=c["ui.accent"], bold=True),
            "bar": style("ui.foreground", bar),
            "figure.bar": style("ui.foreground", bar, bold=True),
            "frozen": style("ui.accent", page, bold=True, reverse=True),
            "status": style("ui.foreground", bar),
            "status.engine": style("ui.muted", bar),
            "status.alarm": style("state.stalled", bar, bold=True),
            "hint": style("ui.muted"),
            "hint.key": style("ui.accent", bold=True),
            "tab": style("ui.muted"),
            "tab.active": style("ui.focus", bold=True, reverse=True),
        }
        for state in STATES:
            loud = state in ("stalled", "failed", "incomplete", "timed-out")
            styles[f"state.{state}"] = style(f"state.{state}", bold=loud)
            styles[f"bar.{state}"] = style(f"state.{state}", bar, bold=loud)
        return styles
