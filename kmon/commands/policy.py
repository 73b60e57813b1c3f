"""From settings to the policy of a race, refused in one sentence where it contradicts itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from kmon.catalog.errors import UsageError
from kmon.catalog.model import Target
from kmon.catalog.resolve import resolve_target
from kmon.config import Loaded
from kmon.dialects.registry import dialect
from kmon.engine.plan import Row
from kmon.retry.policy import Policy, conflict
from kmon.settings import SETTINGS


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
    values = {name: value or None for name, value in _set(loaded).items() if SETTINGS[name].kind == "limit"}
    values = {**_set(loaded), **values, "timeout_s": timeout_s or loaded.settings.timeout_s}
    values["fallback"] = [aimed(resolve_target(loaded.catalog, name)) for name in loaded.settings.fallback]
    policy = msgspec.convert({**values, "jitter_seed": jitter_seed}, Policy)
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


def _set(loaded: Loaded) -> dict[str, object]:
    settings = msgspec.structs.asdict(loaded.settings)
    return {name: settings[name] for name in Policy.__struct_fields__ if name in settings}


def _named(name: str, loaded: Loaded) -> str:
    """A setting with its value and its place: ``idle_timeout_s 3 (--idle-timeout)``."""
    value = getattr(loaded.settings, name)
    shown = f"{value:g}" if isinstance(value, float) else ",".join(value) or "[]" if isinstance(value, tuple) else value
    return f"{name} {shown} ({loaded.provenance[name]})"
