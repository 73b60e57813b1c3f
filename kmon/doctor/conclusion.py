"""What the measurements of one target mean: findings in plain sentences, and one conclusion."""

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
from kmon.doctor import mtu as segments
from kmon.doctor.endpoint import Step
from kmon.doctor.examine import Examination, examine
from kmon.doctor.repeat import spread
from kmon.doctor.tcp import Reach
from kmon.format import plural
from kmon.model import Target
from kmon.transport.tls import authorities

SLOW_MS: dict[Step, float] = {"dns": 1000.0, "tcp": 1000.0, "tls": 2000.0, "http": 5000.0}
"""From here on a step is slow by itself, whatever lies on the other side."""
SKEW_LIMIT_S = 5.0
AWS_SKEW_LIMIT_S = 300.0
"""Signatures older or younger than that are refused by AWS."""
EXPIRY_WARNING_DAYS = 14
_SLOW_WORDS: dict[Step, str] = {
    "dns": "every new connection waits for the resolver",
    "tcp": "the way there is long or loses packets",
    "tls": "the handshake needs several round trips or a slow server",
    "http": "the endpoint answers slowly even to a list of models",
}
_STEP_WORDS: dict[Step, str] = {"dns": "DNS", "tcp": "TCP", "tls": "TLS", "http": "the HTTP answer"}

About = Literal["network", "key", "clock"]


class Finding(Struct, frozen=True):
    """One thing worth saying. A ``note`` is no fault."""

    grade: Literal["wrong", "note"]
    about: About
    sentence: str


class TargetDiagnosis(Struct, frozen=True):
    """One target: what was measured, what it means, and whether anything is wrong."""

    examined: Examination
    findings: tuple[Finding, ...]
    now_s: float

    @property
    def ok(self) -> bool:
        """True when nothing was found that is wrong."""
        return not any(finding.grade == "wrong" for finding in self.findings)


async def diagnose(
    targets: Sequence[Target], env: Environment, trust: Trust, limit_s: float, *, named: bool
) -> list[TargetDiagnosis]:
    """Examine all targets at once; the diagnoses come back in the order of ``targets``.

    Raises :class:`UsageError`, before anything is sent, where a project's file would have a key sent elsewhere.
    """
    check_trust(targets, env, trust)
    context = authorities()
    examined = await asyncio.gather(*(examine(target, env, trust, context, limit_s, named=named) for target in targets))
    now_s = time.time()
    return [TargetDiagnosis(each, findings(each, now_s), now_s) for each in examined]


def durations_ms(examined: Examination) -> dict[Step, list[float]]:
    """Per step, how long each try took that came through it."""
    return {
        "dns": [lookup.duration_ms for lookup in examined.lookups if lookup.error is None],
        "tcp": [each.tcp_ms for each in examined.exchanges if each.tcp_ms is not None],
        "tls": [each.tls_ms for each in examined.exchanges if each.tls_ms is not None],
        "http": [each.http_ms for each in examined.exchanges if each.http_ms is not None],
    }


def findings(examined: Examination, now_s: float) -> tuple[Finding, ...]:
    """Everything worth saying, the nearest to this machine first. ``now_s`` is the wall clock (s since 1970)."""
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


def conclusion(examined: Examination, found: Sequence[Finding]) -> str:
    """The sentence at the end: what is wrong, or that a stall is somebody else's."""
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


def _names(examined: Examination) -> Iterator[Finding]:
    errors = [lookup.error for lookup in examined.lookups if lookup.error]
    if not errors:
        return
    if len(errors) == len(examined.lookups):
        yield Finding("wrong", "network", f"{examined.host}: {errors[-1]}; look at the name, the resolver and the VPN")
    else:
        yield Finding("wrong", "network", f"{len(errors)} of {len(examined.lookups)} DNS lookups failed: {errors[-1]}")


def _slow(examined: Examination) -> Iterator[Finding]:
    for step, taken_ms in durations_ms(examined).items():
        found = spread(taken_ms)
        if found is None or found.worst_ms < SLOW_MS[step]:
            continue
        name, why = _STEP_WORDS[step], _SLOW_WORDS[step]
        if found.median_ms >= SLOW_MS[step]:
            yield Finding("wrong", "network", f"{name} takes {found.median_ms / 1000:.1f} s: {why}")
        else:
            slow = sum(each >= SLOW_MS[step] for each in taken_ms)
            sentence = f"{name} took up to {found.worst_ms / 1000:.1f} s in {slow} of {len(taken_ms)} tries: {why}"
            yield Finding("wrong", "network", sentence)


def _addresses(examined: Examination) -> Iterator[Finding]:
    reaches = examined.reaches
    dead = [reach for reach in reaches if not reach.connects]
    if reaches and len(dead) == len(reaches):
        if examined.expected:
            where = f"{examined.host} port {examined.port}"
            yield Finding("wrong", "network", f"no address of {where} takes a connection: {dead[-1].error}")
        return
    for family in ("IPv6", "IPv4"):
        own = [reach for reach in reaches if reach.family == family]
        silent = [reach for reach in own if not reach.connects]
        if silent and len(silent) == len(own):
            yield _dead_family(family, silent)
        elif silent:
            which = ", ".join(f"{reach.ip} ({reach.error})" for reach in silent)
            yield Finding("wrong", "network", f"{len(silent)} of {len(own)} {family} addresses: no connection: {which}")
    for reach in reaches:
        failed = [touch for touch in reach.touches if touch.error]
        if reach.connects and failed:
            share = f"{len(failed)} of {len(reach.touches)} connections to {reach.ip} failed"
            yield Finding("wrong", "network", f"{share}: {failed[-1].error}")


def _dead_family(family: str, silent: Sequence[Reach]) -> Finding:
    if any(reach.timed_out for reach in silent):
        waited_s = max(touch.duration_ms for reach in silent for touch in reach.touches) / 1000
        return Finding(
            "wrong",
            "network",
            f"{family} is announced but does not connect: clients without Happy Eyeballs wait {waited_s:.0f} s or more",
        )
    quick = f"{family} is announced but does not connect ({silent[-1].error}); it fails at once, so nobody waits"
    return Finding("note", "network", quick)


def _exchanges(examined: Examination) -> Iterator[Finding]:
    failed = [each for each in examined.exchanges if each.failed_at]
    total = len(examined.exchanges)
    for (step, error), count in Counter((each.failed_at, each.error) for each in failed).items():
        often = "" if count == total else f"{count} of {total} tries: "
        issuer = examined.certificate
        by = f" (issued by {issuer.issuer})" if step == "tls" and issuer is not None else ""
        yield Finding("wrong", "network", f"{often}{error}{by}")


def _certificate(examined: Examination, now_s: float) -> Iterator[Finding]:
    if examined.certificate is None or any(each.failed_at == "tls" for each in examined.exchanges):
        return  # what is not trusted has been told with its reason
    days = examined.certificate.days_left(now_s)
    if days < EXPIRY_WARNING_DAYS:
        yield Finding("wrong", "network", f"the certificate expires in {days_words(days)}")


def _key(examined: Examination) -> Iterator[Finding]:
    check = examined.check
    if check.state == "failed":
        yield Finding("wrong", "key", check.sentence)
    if check.listed is False:
        yield Finding("note", "key", f"{examined.model} is not in the list of models: the name may be wrong or private")
    if examined.key and examined.key_proven is False:
        yield Finding("note", "key", "the list of models is given to anybody, so the key is not proven by it")


def _clock(examined: Examination) -> Iterator[Finding]:
    found = clock.skew([each.reading for each in examined.exchanges if each.reading is not None])
    if found is None or found.least_s < SKEW_LIMIT_S:
        return
    then = "its stamps cannot be matched with a provider's logs"
    if found.least_s >= AWS_SKEW_LIMIT_S:
        then = "AWS refuses requests signed by it, and certificates may seem expired or not yet valid"
    yield Finding("wrong", "clock", f"this machine's clock is {clock.described(found)}: {then}")


def _path(examined: Examination) -> Iterator[Finding]:
    for reach in examined.reaches:
        if reach.segments is not None and segments.narrow(reach.segments):
            sentence = f"the {segments.described(reach.segments)} to {reach.ip}: a tunnel is on the way; where ICMP is"
            yield Finding("note", "network", f"{sentence} filtered there, large packets vanish and streams hang")
            return


def days_words(days: float) -> str:
    """``3 days``, ``1 day`` or, on the last one, ``5 hours``."""
    if days < 1:
        return f"{max(0, int(days * 24))} hours"
    return plural(int(days), "day")
