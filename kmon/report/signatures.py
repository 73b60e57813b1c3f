"""``kmon signatures`` and ``kmon explain``: what kmon can say about a stream, printed from the data it decides by."""

from __future__ import annotations

import textwrap

from kmon.catalog.diagnoses import DiagnosisText, diagnoses
from kmon.catalog.signatures import SignatureText, beyond, signature_text, signatures

COLUMNS = 100


def list_all() -> int:
    """Print one line per signature, by group, and what is no signature on purpose."""
    known = signatures()
    width = max(map(len, known))
    group = ""
    for name, text in known.items():
        if text.group != group:
            print(f"{'' if not group else chr(10)}{text.group}")
            group = text.group
        print(f"  {name.ljust(width)}  {' '.join(text.f).ljust(15)}  {text.wire}")
    print("\nno signature of one attempt")
    for left_out in beyond():
        print(f"  {' '.join(left_out.f).ljust(width + 17)}  {left_out.why}")
    print("\non which side a gateway's run hangs")
    for name, diagnosis in diagnoses().items():
        print(f"  {name.ljust(width)}  {' ' * 15}  {diagnosis.seen}")
    print("\n'kmon explain NAME' tells what one usually means, what looks alike, and how to see it on the simulator.")
    return 0


def explain(name: str) -> int:
    """Print all that is known about one signature or diagnosis. Raises UsageError for a name that is neither."""
    if (diagnosis := diagnoses().get(name)) is not None:
        print("\n".join(_diagnosis(name, diagnosis)))
        return 0
    print("\n".join(explanation(name, signature_text(name))))
    return 0


def explanation(name: str, text: SignatureText) -> list[str]:
    """The lines of ``kmon explain``."""
    numbers = f", {' '.join(text.f)}" if text.f else ""
    lines = [f"{name}  ({text.group}{numbers})", ""]
    lines += _paragraph("on the wire", text.wire)
    lines += _paragraph("usually", text.means)
    lines += _paragraph("looks alike", text.twin)
    if text.sources:
        lines += _paragraph("seen in", ", ".join(text.sources))
    shown = [fault for fault in text.faults if not fault.startswith("(")]
    if shown:
        lines += _paragraph("see it", f"kmon sim, then ask it with the header x-kmon-fault: {' or '.join(shown)}")
        if text.twins:
            lines += _paragraph("see its twin", f"the same with {' or '.join(text.twins)}")
    if text.unsimulated:
        lines += _paragraph("not simulated", text.unsimulated)
    return lines


def _diagnosis(name: str, text: DiagnosisText) -> list[str]:
    lines = [f"{name}  (on which side a gateway's run hangs)", ""]
    lines += _paragraph("seen", text.seen)
    lines += _paragraph("means", text.means)
    lines += _paragraph("do", text.do)
    return lines + _paragraph("needs", text.needs)


def _paragraph(title: str, words: str) -> list[str]:
    return textwrap.wrap(words, COLUMNS, initial_indent=f"{title + ':':<14} ", subsequent_indent=" " * 15)
