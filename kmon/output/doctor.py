"""What ``kmon doctor`` prints: a table and a conclusion per target, and the running chat programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from kmon.dialects.text import clean
from kmon.doctor import clock
from kmon.doctor.conclusion import TargetDiagnosis, conclusion, days_words, durations_ms
from kmon.doctor.examine import Examination
from kmon.doctor.local_machine import Process
from kmon.doctor.model_list import status_words
from kmon.doctor.repeat import Spread, spread
from kmon.logs import log

_TITLES = ("step", "median ms", "worst ms", "ok")


def text_lines(
    diagnoses: Sequence[TargetDiagnosis], proxies: Mapping[str, str], around: Sequence[Process] | None
) -> Iterator[str]:
    for diagnosis in diagnoses:
        yield from target_lines(diagnosis)
        yield ""
    set_ = "  ".join(f"{name}={value}" for name, value in proxies.items())
    yield f"proxy variables  {set_ or 'none set'}"
    path, level = log.where()
    yield f"log of errors    {clean(str(path))} (level {level})"
    yield from process_lines(around)


def target_lines(diagnosis: TargetDiagnosis) -> Iterator[str]:
    """The table of one target and its conclusion."""
    examined = diagnosis.examined
    yield f"{examined.target}  {examined.url}"
    rows = [_TITLES, *_steps(examined)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(_TITLES))]
    widths[0] = max(widths[0], len("clock"))
    details = ["", *_details(diagnosis)]
    for row, detail in zip(rows, details, strict=True):
        numbers = "  ".join(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        yield f"  {row[0].ljust(widths[0])}  {numbers}  {detail}".rstrip()
    for name, words in _facts(examined):
        yield f"  {name.ljust(widths[0])}  {words}"
    yield f"=> {conclusion(examined, diagnosis.findings)}"
    for finding in diagnosis.findings:
        if finding.grade == "note":
            yield f"   note: {finding.sentence}"


def process_lines(around: Sequence[Process] | None) -> Iterator[str]:
    """The chat programs found, one line each."""
    if around is None:
        yield "chat programs    not available here"
    elif not around:
        yield "chat programs    none running"
    else:
        troubled = sum(process.trouble is not None for process in around)
        yield f"chat programs    {len(around)} found, {troubled} to look at"
    for process in around or ():
        place = process.tty or ("orphaned" if process.orphaned else "no terminal")
        line = (
            f"  pid {process.pid}  {process.program}  {process.state}  started {_ago(process.running_s)} ago  {place}"
        )
        yield f"{line}  {process.trouble or ''}".rstrip()


def _steps(examined: Examination) -> Iterator[tuple[str, str, str, str]]:
    tried = {"dns": len(examined.lookups)} | dict.fromkeys(("tcp", "tls", "http"), len(examined.exchanges))
    for step, taken_ms in durations_ms(examined).items():
        if step != "tls" or examined.url.startswith("https:"):
            yield _row(step, spread(taken_ms), tried[step])
    for reach in examined.reaches:
        touched_ms = [touch.duration_ms for touch in reach.touches if touch.error is None]
        yield _row(reach.ip, spread(touched_ms), len(reach.touches))


def _row(name: str, found: Spread | None, tried: int) -> tuple[str, str, str, str]:
    if found is None:
        return name, "-", "-", f"0/{tried}" if tried else "-"
    return name, f"{found.median_ms:.1f}", f"{found.worst_ms:.1f}", f"{found.count}/{tried}"


def _details(diagnosis: TargetDiagnosis) -> Iterator[str]:
    """The details after the numbers, a line per row of :func:`_steps`."""
    examined = diagnosis.examined
    families = [reach.family for reach in examined.reaches]
    counts = ", ".join(f"{families.count(family)} {family}" for family in ("IPv4", "IPv6") if family in families)
    yield f"{examined.host}: {counts}" if counts else next((x.error for x in examined.lookups if x.error), "")
    yield f"by proxy {examined.proxy}" if examined.proxy else ""
    if examined.url.startswith("https:"):
        yield _tls(diagnosis)
    status = next((each.status for each in examined.exchanges if each.status is not None), None)
    bare = ", asked without the key" if examined.key and examined.check.state == "skipped" else ""
    yield status_words(status) + bare if status is not None else _error_at(examined, "http")
    for reach in examined.reaches:
        path = reach.segments.described if reach.segments else ""
        yield "; ".join(filter(None, (reach.family, path, reach.error)))


def _tls(diagnosis: TargetDiagnosis) -> str:
    examined = diagnosis.examined
    version = next((each.tls_version for each in examined.exchanges if each.tls_version), "")
    problem = _error_at(examined, "tls")
    certificate = examined.certificate
    words = [version] if version else []
    if certificate is not None:
        days = certificate.days_left(diagnosis.now_s)
        ends = f"expires in {days_words(days)}" if days >= 0 else f"expired {days_words(-days)} ago"
        words += [f"issued by {certificate.issuer}", ends]
    if problem or version:
        words.append(problem or "trusted")
    return ", ".join(words)


def _error_at(examined: Examination, step: str) -> str:
    return next((each.error for each in examined.exchanges if each.failed_at == step and each.error), "")


def _facts(examined: Examination) -> Iterator[tuple[str, str]]:
    yield "key", _key_words(examined)
    skew = clock.skew([each.reading for each in examined.exchanges if each.reading is not None])
    yield "clock", clock.described(skew) if skew else "no Date header to compare with"


def _key_words(examined: Examination) -> str:
    key, check = examined.key, examined.check
    words = {True: "accepted", False: "not proven: anybody is given the list", None: "not proven"}
    if key is None:
        return f"none needed; {check.sentence}" if check.state != "failed" else check.sentence
    if check.state == "ok":
        return f"{key}: {words[examined.key_proven]}; {check.sentence}"
    return f"{key}: {check.sentence}"


def _ago(seconds: float) -> str:
    for unit, unit_s in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= unit_s:
            return f"{seconds / unit_s:.1f} {unit}"
    return f"{seconds:.0f} s"


# -- JSON --------------------------------------------------------------------------------------------------------------


def json_lines(
    diagnoses: Sequence[TargetDiagnosis], proxies: Mapping[str, str], around: Sequence[Process] | None
) -> Iterator[str]:
    for diagnosis in diagnoses:
        yield msgspec.json.encode(target_described(diagnosis)).decode()
    found = None if around is None else [msgspec.to_builtins(each) | {"trouble": each.trouble} for each in around]
    path, level = log.where()
    machine = {"type": "machine", "proxy_variables": proxies, "processes": found, "log": {"file": path, "level": level}}
    yield msgspec.json.encode(machine, enc_hook=str).decode()


def target_described(diagnosis: TargetDiagnosis) -> dict[str, object]:
    """One target as a JSON object. Durations are in ms, clocks in s, sizes in bytes; null is unknown."""
    examined, certificate = diagnosis.examined, diagnosis.examined.certificate
    skew = clock.skew([each.reading for each in examined.exchanges if each.reading is not None])
    return {
        "type": "target",
        "target": examined.target,
        "url": examined.url,
        "ok": diagnosis.ok,
        "conclusion": conclusion(examined, diagnosis.findings),
        "findings": diagnosis.findings,
        "steps": {step: spread(taken_ms) for step, taken_ms in durations_ms(examined).items()},
        "tries": [
            {"failed_at": each.failed_at, "error": each.error, "status": each.status} for each in examined.exchanges
        ],
        "addresses": [
            {
                "ip": reach.ip,
                "family": reach.family,
                "connect": spread(touch.duration_ms for touch in reach.touches if touch.error is None),
                "error": reach.error,
                "segments": reach.segments,
            }
            for reach in examined.reaches
        ],
        "dns_error": next((lookup.error for lookup in examined.lookups if lookup.error), None),
        "tls_version": next((each.tls_version for each in examined.exchanges if each.tls_version), None),
        "tls_error": _error_at(examined, "tls") or None,
        "certificate": certificate
        and {
            "issuer": certificate.issuer,
            "expires_s": certificate.expires_s,
            "days_left": round(certificate.days_left(diagnosis.now_s), 2),
        },
        "proxy": examined.proxy,
        "key": {"found_in": examined.key, "proven": examined.key_proven},
        "models": examined.check.described(),
        "clock": skew,
    }
