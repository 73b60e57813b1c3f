"""Turns the measurements of one target into findings, each a sentence, and one conclusion."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal

from msgspec import Struct

from kmon.catalog.environment import Environment
from kmon.catalog.keys import check_trust
from kmon.catalog.trust import Trust
from kmon.doctor import clock
from kmon.doctor.endpoint import Step
from kmon.doctor.examine import Examination, examine
from kmon.doctor.reach import Reach
from kmon.doctor.repeat import spread
from kmon.format import plural
from kmon.model import Target
from kmon.transport.authorities import authorities

SLOW_MS: dict[Step, float] = {"dns": 1000.0, "tcp": 1000.0, "tls": 2000.0, "http": 5000.0}
"""Duration from which a step counts as slow, for any endpoint."""
SKEW_LIMIT_S = 5.0
AWS_SKEW_LIMIT_S = 300.0
"""AWS refuses a signature whose time differs by more than 5 minutes from its own clock."""
EXPIRY_WARNING_DAYS = 14
_SLOW_WORDS: dict[Step, str] = {
    "dns": "every new connection waits for the resolver",
    "tcp": "the way there is long or loses packets",
    "tls": "the handshake needs several round trips or a slow server",
    "http": "the endpoint answers slowly even to a list of models",
}
_STEP_WORDS: dict[Step, str] = {"dns": "DNS", "tcp": "TCP", "tls": "TLS", "http": "the HTTP answer"}

About = Literal["network", "key", "clock"]


class DoctorFinding(Struct, frozen=True):
    """One sentence about a target. ``wrong`` is a fault, ``note`` is not."""

    grade: Literal["wrong", "note"]
    about: About
    sentence: str


class TargetDiagnosis(Struct, frozen=True):
    """The measurements of one target and the findings from them; ``now_s`` is the wall clock (s since 1970)."""

    examined: Examination
    findings: tuple[DoctorFinding, ...]
    now_s: float

    @property
    def ok(self) -> bool:
        """Whether no finding is graded ``wrong``."""
        return not any(finding.grade == "wrong" for finding in self.findings)


async def diagnose(
    targets: Sequence[Target], env: Environment, trust: Trust, limit_s: float, *, named: bool
) -> list[TargetDiagnosis]:
    """Examine all targets at the same time. Returns the diagnoses in the order of ``targets``.

    Raises :class:`UntrustedHostError`, before anything is sent, if a project's file names a host for a key that the
    user has not allowed.
    """
    check_trust(targets, env, trust)
    context = authorities()
    examined = await asyncio.gather(*(examine(target, env, trust, context, limit_s, named=named) for target in targets))
    now_s = time.time()
    return [TargetDiagnosis(each, findings(each, now_s), now_s) for each in examined]


def durations_ms(examined: Examination) -> dict[Step, list[float]]:
    """Per step, the durations (ms) of the tries in which it was completed."""
    return {
        "dns": [lookup.duration_ms for lookup in examined.lookups if lookup.error is None],
        "tcp": [each.tcp_ms for each in examined.exchanges if each.tcp_ms is not None],
        "tls": [each.tls_ms for each in examined.exchanges if each.tls_ms is not None],
        "http": [each.http_ms for each in examined.exchanges if each.http_ms is not None],
    }


def findings(examined: Examination, now_s: float) -> tuple[DoctorFinding, ...]:
    """All findings, in the order of the steps: DNS first. ``now_s`` is the wall clock (s since 1970)."""
    return (
        *_names(examined),
        *_slow(examined),
        *_addresses(examined),
        *_exchanges(examined),
        *_certificate(examined, now_s),
        *_key(examined),
        *_clock(examined),
        *_path(examined),
    )


def conclusion(examined: Examination, found: Sequence[DoctorFinding]) -> str:
    """The last sentence: what is wrong, or else that a stall is the server's."""
    wrong = [finding for finding in found if finding.grade == "wrong"]
    if wrong:
        network_fine = examined.exchanges and not any(finding.about == "network" for finding in wrong)
        return ("the network is fine; " if network_fine else "") + "; ".join(finding.sentence for finding in wrong)
    if not examined.exchanges:
        return f"nothing listens at {examined.url}: that server is not running"
    owner = "the local server's" if examined.local else "the provider's"
    if examined.check.state == "ok" and examined.key and examined.key_proven:
        return f"the network and the key are fine; a stall is then {owner}"
    if examined.key is None:
        return f"the network is fine, and no key is needed; a stall is then {owner}"
    return f"the network is fine, and a key was found but not proven; a stall is then {owner}"


def _names(examined: Examination) -> Iterator[DoctorFinding]:
    errors = [lookup.error for lookup in examined.lookups if lookup.error]
    if not errors:
        return
    if len(errors) == len(examined.lookups):
        yield DoctorFinding(
            "wrong", "network", f"{examined.host}: {errors[-1]}; look at the name, the resolver and the VPN"
        )
    else:
        yield DoctorFinding(
            "wrong", "network", f"{len(errors)} of {len(examined.lookups)} DNS lookups failed: {errors[-1]}"
        )


def _slow(examined: Examination) -> Iterator[DoctorFinding]:
    for step, taken_ms in durations_ms(examined).items():
        found = spread(taken_ms)
        if found is None or found.worst_ms < SLOW_MS[step]:
            continue
        name, why = _STEP_WORDS[step], _SLOW_WORDS[step]
        if found.median_ms >= SLOW_MS[step]:
            yield DoctorFinding("wrong", "network", f"{name} takes {found.median_ms / 1000:.1f} s: {why}")
        else:
            slow = sum(each >= SLOW_MS[step] for each in taken_ms)
            sentence = f"{name} took up to {found.worst_ms / 1000:.1f} s in {slow} of {len(taken_ms)} tries: {why}"
            yield DoctorFinding("wrong", "network", sentence)


def _addresses(examined: Examination) -> Iterator[DoctorFinding]:
    reaches = examined.reaches
    dead = [reach for reach in reaches if not reach.connects]
    if reaches and len(dead) == len(reaches):
        if examined.expected:
            where = f"{examined.host} port {examined.port}"
            yield DoctorFinding("wrong", "network", f"no address of {where} takes a connection: {dead[-1].error}")
        return
    for family in ("IPv6", "IPv4"):
        own = [reach for reach in reaches if reach.family == family]
        silent = [reach for reach in own if not reach.connects]
        if silent and len(silent) == len(own):
            yield _dead_family(family, silent)
        elif silent:
            which = ", ".join(f"{reach.ip} ({reach.error})" for reach in silent)
            yield DoctorFinding(
                "wrong", "network", f"{len(silent)} of {len(own)} {family} addresses: no connection: {which}"
            )
    for reach in reaches:
        failed = [touch for touch in reach.touches if touch.error]
        if reach.connects and failed:
            share = f"{len(failed)} of {len(reach.touches)} connections to {reach.ip} failed"
            yield DoctorFinding("wrong", "network", f"{share}: {failed[-1].error}")


def _dead_family(family: str, silent: Sequence[Reach]) -> DoctorFinding:
    if any(reach.timed_out for reach in silent):
        waited_s = max(touch.duration_ms for reach in silent for touch in reach.touches) / 1000
        return DoctorFinding(
            "wrong",
            "network",
            f"{family} is announced but does not connect: clients without Happy Eyeballs wait {waited_s:.0f} s or more",
        )
    sentence = f"{family} is announced but does not connect ({silent[-1].error}); it fails at once, so nobody waits"
    return DoctorFinding("note", "network", sentence)


def _exchanges(examined: Examination) -> Iterator[DoctorFinding]:
    failed = [each for each in examined.exchanges if each.failed_at]
    total = len(examined.exchanges)
    for (step, error), count in Counter((each.failed_at, each.error) for each in failed).items():
        share = "" if count == total else f"{count} of {total} tries: "
        certificate = examined.certificate
        by = f" (issued by {certificate.issuer})" if step == "tls" and certificate is not None else ""
        yield DoctorFinding("wrong", "network", f"{share}{error}{by}")


def _certificate(examined: Examination, now_s: float) -> Iterator[DoctorFinding]:
    if examined.certificate is None or any(each.failed_at == "tls" for each in examined.exchanges):
        return  # a certificate that is not trusted is already a finding of the TLS step
    days = examined.certificate.days_left(now_s)
    if days < EXPIRY_WARNING_DAYS:
        yield DoctorFinding("wrong", "network", f"the certificate expires in {days_words(days)}")


def _key(examined: Examination) -> Iterator[DoctorFinding]:
    check = examined.check
    if check.state == "failed":
        yield DoctorFinding("wrong", "key", check.sentence)
    if check.listed is False:
        yield DoctorFinding(
            "note", "key", f"{examined.model} is not in the list of models: the name may be wrong or private"
        )
    if examined.key and examined.key_proven is False:
        yield DoctorFinding("note", "key", "the list of models is given to anybody, so the key is not proven by it")


def _clock(examined: Examination) -> Iterator[DoctorFinding]:
    found = clock.skew([each.reading for each in examined.exchanges if each.reading is not None])
    if found is None or found.least_s < SKEW_LIMIT_S:
        return
    consequence = "its stamps cannot be matched with a provider's logs"
    if found.least_s >= AWS_SKEW_LIMIT_S:
        consequence = "AWS refuses requests signed by it, and certificates may seem expired or not yet valid"
    yield DoctorFinding("wrong", "clock", f"this machine's clock is {clock.described(found)}: {consequence}")


def _path(examined: Examination) -> Iterator[DoctorFinding]:
    for reach in examined.reaches:
        if reach.segments is not None and reach.segments.narrow:
            sentence = f"the {reach.segments.described} to {reach.ip}: a tunnel is on the way; where ICMP is"
            yield DoctorFinding("note", "network", f"{sentence} filtered there, large packets vanish and streams hang")
            return


def days_words(days: float) -> str:
    """``3 days``, ``1 day``; below one day ``5 hours``."""
    if days < 1:
        return f"{max(0, int(days * 24))} hours"
    return plural(int(days), "day")
