"""What ``kmon signatures`` and ``kmon explain`` print, from the catalog of signatures."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from kmon.catalog.signatures import (
    FieldReport,
    SignatureText,
    beyond,
    coverage,
    field_reports,
    signature_text,
    signatures,
)
from kmon.openclaw.diagnosis import DiagnosisText, diagnoses

COLUMNS = 100
SIGNATURE_COLUMNS = 44
"""A longer list of signatures may exceed its column."""


def signature_lines() -> Iterator[str]:
    """One line per signature, by group, then the numbers without a signature and the diagnoses."""
    known = signatures()
    width = max(map(len, known))
    group = ""
    for name, text in known.items():
        if text.group != group:
            yield f"{'' if not group else chr(10)}{text.group}"
            group = text.group
        yield f"  {name.ljust(width)}  {' '.join(text.f).ljust(15)}  {text.wire}"
    yield "\nno signature of one attempt"
    for left_out in beyond():
        yield f"  {' '.join(left_out.f).ljust(width + 17)}  {left_out.why}"
    yield "\non which side a gateway's run hangs"
    for name, diagnosis in diagnoses().items():
        yield f"  {name.ljust(width)}  {' ' * 15}  {diagnosis.seen}"
    yield "\n'kmon signatures --numbers' goes by the numbers F01 to F60 instead, with the fault that shows each."
    yield "'kmon explain NAME' tells what one usually means, what looks alike, and how to see it on the simulator."


def number_lines() -> Iterator[str]:
    """One line per number of the fault list: the signature and the faults that show it, or why there is none."""
    rows = [
        (c.number, " ".join(c.signatures) or "-", " ".join(c.faults), "; ".join(c.why)) for c in coverage().values()
    ]
    width = max(len(row[1]) for row in rows if len(row[1]) <= SIGNATURE_COLUMNS)
    yield f"{'':<3}  {'signature'.ljust(width)}  faults of the simulator; why none"
    for number, named, faults, why in rows:
        shown = "; ".join(part for part in (faults, why) if part)
        for i, line in enumerate(textwrap.wrap(shown, COLUMNS - width, break_on_hyphens=False)):
            yield f"{number if not i else '':<3}  {(named if not i else '').ljust(width)}  {line}"


def explain_lines(name: str) -> list[str]:
    """The text about a signature, diagnosis, number such as F14, or field report. Raises :class:`UsageError`."""
    if report := field_reports().get(name.lower()):
        return report_lines(name.lower(), report)
    if (diagnosis := diagnoses().get(name)) is not None:
        return _diagnosis(name, diagnosis)
    found = coverage().get(name.upper())
    if found is None:
        return explanation(name, signature_text(name))
    lines = [line for why in found.why for line in _paragraph(found.number, why)]
    if found.why and found.faults:
        lines += _paragraph("see it", commands(found.faults))
    for signature in found.signatures:
        lines += (
            ["", *explanation(signature, signature_text(signature))]
            if lines
            else explanation(signature, signature_text(signature))
        )
    return lines


def report_lines(name: str, report: FieldReport) -> list[str]:
    """The complaints of a field report, and the command that shows each."""
    lines = [f"{name}: {report.title}", f"  the simulator behaves so with --profile {report.profile}", ""]
    for complaint in report.fault:
        more = f"; {complaint.means}" if complaint.means else ""
        lines += [f"{complaint.says} -> {complaint.shows}{more}", f"  {complaint.command}"]
    return lines


def commands(faults: Sequence[str]) -> str:
    """The command that shows these faults."""
    return f"kmon run --fault {' | '.join(fault.strip('()') for fault in faults)}"


def explanation(name: str, text: SignatureText) -> list[str]:
    """The lines of ``kmon explain``."""
    numbers = f", {' '.join(text.f)}" if text.f else ""
    lines = [f"{name}  ({text.group}{numbers})", ""]
    lines += _paragraph("on the wire", text.wire)
    lines += _paragraph("usually", text.means)
    lines += _paragraph("looks alike", text.twin)
    if text.sources:
        lines += _paragraph("seen in", ", ".join(text.sources))
    if text.faults:
        lines += _paragraph("see it", commands(text.faults))
        if text.twins:
            lines += _paragraph("see its twin", commands(text.twins))
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
