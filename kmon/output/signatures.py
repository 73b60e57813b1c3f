"""``kmon signatures`` and ``kmon explain``: what kmon can say about a stream, printed from the data it decides by."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from kmon.catalog.field_reports import FieldReport, field_reports
from kmon.catalog.signatures import SignatureText, beyond, coverage, signature_text, signatures
from kmon.openclaw.diagnosis import DiagnosisText, diagnoses

COLUMNS = 100
SIGNATURE_COLUMNS = 44
"""A longer list of signatures may stand out of its column."""


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
    print("\n'kmon signatures --numbers' goes by the numbers F01 to F60 instead, with the fault that shows each.")
    print("'kmon explain NAME' tells what one usually means, what looks alike, and how to see it on the simulator.")
    return 0


def list_numbers() -> int:
    """Print one line per number of the fault list: the signature, and the faults that show it, or why there is none."""
    rows = [
        (c.number, " ".join(c.signatures) or "-", " ".join(c.faults), "; ".join(c.why)) for c in coverage().values()
    ]
    width = max(len(row[1]) for row in rows if len(row[1]) <= SIGNATURE_COLUMNS)
    print(f"{'':<3}  {'signature'.ljust(width)}  faults of the simulator; why none")
    for number, named, faults, why in rows:
        said = "; ".join(part for part in (faults, why) if part)
        for i, line in enumerate(textwrap.wrap(said, COLUMNS - width, break_on_hyphens=False)):
            print(f"{number if not i else '':<3}  {(named if not i else '').ljust(width)}  {line}")
    return 0


def explain(name: str) -> int:
    """Print all about one signature, diagnosis, number such as F14, or field report. Raises UsageError for none."""
    if report := field_reports().get(name.lower()):
        print("\n".join(report_lines(name.lower(), report)))
        return 0
    if (diagnosis := diagnoses().get(name)) is not None:
        print("\n".join(_diagnosis(name, diagnosis)))
        return 0
    found = coverage().get(name.upper())
    if found is None:
        print("\n".join(explanation(name, signature_text(name))))
        return 0
    for why in found.why:
        print("\n".join(_paragraph(found.number, why)))
    if found.why and found.faults:
        print("\n".join(_paragraph("see it", commands(found.faults))))
    for i, signature in enumerate(found.signatures):
        print("\n".join((["", ""] if i or found.why else [])[:1] + explanation(signature, signature_text(signature))))
    return 0


def report_lines(name: str, report: FieldReport) -> list[str]:
    """What a field report complains of, and the command that shows each."""
    lines = [f"{name}: {report.title}", f"  the simulator behaves so with --profile {report.profile}", ""]
    for complaint in report.fault:
        more = f"; {complaint.means}" if complaint.means else ""
        lines += [f"{complaint.says} -> {complaint.shows}{more}", f"  {complaint.command}"]
    return lines


def commands(faults: Sequence[str]) -> str:
    """What to type to see these."""
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
