"""From settings to the policy of a race and what its alerts set off, refused in one sentence where it cannot be."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import msgspec

from kmon.address import base_url_problem, is_loopback
from kmon.catalog.resolve import resolve_target
from kmon.config.kinds import Limit
from kmon.config.settings import SETTINGS, Settings
from kmon.config.sources import Loaded
from kmon.dialects.registry import dialect
from kmon.engine.alert_hooks import AlertHooks
from kmon.engine.plan import Row
from kmon.errors import UsageError
from kmon.model import Target
from kmon.retry.policy import Policy, conflict
from kmon.transport.proxy import proxy_for


def policy_of(
    loaded: Loaded,
    rows: Sequence[Row],
    *,
    timeout_s: float | None,
    jitter_seed: int | None,
    aimed: Callable[[Target], Target],
    once: bool = False,
) -> Policy:
    """The policy that the settings describe for ``rows``.

    ``timeout_s`` replaces the total limit where a demonstration has its own; ``aimed`` turns a fallback to the
    simulator where the race is held there; ``once`` leaves retries and fallbacks out. Raises :class:`UsageError`
    naming the two settings that do not fit.
    """
    fallback = [aimed(resolve_target(loaded.catalog, name)) for name in loaded.settings.fallback]
    values = {name: _limit(name, value) for name, value in asdict(loaded.settings).items() if name in _OF_A_POLICY}
    values |= {"timeout_s": timeout_s or loaded.settings.timeout_s, "fallback": fallback, "jitter_seed": jitter_seed}
    policy = msgspec.convert(values, Policy)
    if once:
        policy = policy.once()
    as_set = msgspec.structs.replace(policy, timeout_s=loaded.settings.timeout_s)  # a demonstration may be shorter
    if found := conflict(as_set, loaded.settings.first_stall_s, tuple(row.target for row in rows)):
        one = _named(found.first, loaded)
        if found.second not in SETTINGS or found.second == found.first:
            raise UsageError(f"{one}: {found.why}; change it")
        other = _named(found.second, loaded)
        raise UsageError(f"{one} and {other} do not fit together: {found.why}; change one of them")
    for row in rows:
        for target in policy.beside(row.target):
            if problem := dialect(target.dialect).unsupported(target, row.scenario):
                raise UsageError(f"{_named('fallback', loaded)}: {problem}")
    return policy


_OF_A_POLICY = frozenset(Policy.__struct_fields__)


def _limit(name: str, value: object) -> object:
    """The value of a setting as a policy has it: a limit that is off is None there."""
    return value or None if isinstance(SETTINGS[name], Limit) else value


def _named(name: str, loaded: Loaded) -> str:
    """A setting with its value and its place: ``idle_timeout_s 3 (--idle-timeout)``."""
    value = getattr(loaded.settings, name)
    shown = f"{value:g}" if isinstance(value, float) else ",".join(value) or "[]" if isinstance(value, tuple) else value
    return f"{name} {shown} ({loaded.provenance[name]})"


def alarm_plan(settings: Settings) -> AlertHooks:
    """What an alert sets off. Raises :class:`UsageError` for a program that is not there and a URL that will not do."""
    return AlertHooks(command=_command(settings.on_alert), webhook=_webhook(settings.alert_webhook))


def _command(line: str) -> Sequence[str]:
    try:
        arguments = shlex.split(line)
    except ValueError as error:
        raise UsageError(f"--on-alert: the command cannot be read ({error}); close its quotes") from None
    if line and not arguments:
        raise UsageError("--on-alert: the command is empty; name a program")
    program = shutil.which(arguments[0]) if arguments else ""
    if program is None:
        raise UsageError(f"--on-alert: there is no program {arguments[0]!r} that can be run; correct its name or path")
    return [str(Path(program).absolute()), *arguments[1:]] if program else []  # it is run in another directory


def _webhook(url: str) -> str:
    if not url:
        return ""
    problem = base_url_problem(url.partition("?")[0])
    if problem is None and not url.startswith("https://") and not is_loopback(url):
        problem = "must be https://, or http:// on this machine"
    if problem is None and ("#" in url or not url.isascii() or " " in url):
        problem = "has characters that cannot be in a URL"
    if problem is not None:
        raise UsageError(f"--alert-webhook: the URL {problem}")
    proxy_for(url)
    return url
