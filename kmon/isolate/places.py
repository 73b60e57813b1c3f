"""Where else a request can be sent: this model at another provider, another model here, another dialect here."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec import Struct
from msgspec.structs import replace

from kmon.address import is_loopback
from kmon.catalog.environment import Environment
from kmon.catalog.keys import is_allowed, key_problem
from kmon.catalog.trust import Trust
from kmon.dialects.dialect import HttpDialect
from kmon.dialects.registry import dialect
from kmon.errors import UsageError
from kmon.model import Target
from kmon.stats.pairs import model_family


class Places(Struct, frozen=True):
    """The targets beside the one whose request fails; None where there is none, then with the reason."""

    elsewhere: Target | None = None
    other_model: Target | None = None
    other_dialect: Target | None = None
    why_not_elsewhere: str = "no other target of this model is known; name one with --elsewhere TARGET"
    why_not_other_model: str = "no model to compare with is known here; name one with --other-model TARGET"
    why_not_other_dialect: str = "the provider is known in one dialect only"


def places_of(target: Target, known: Iterable[Target], usable: Callable[[Target], bool]) -> Places:
    """The places beside ``target`` among the ``known`` targets; ``usable`` tells whether one may be asked."""
    alike = [other for other in known if _is_same_model(target, other) and _over_http(other)]
    elsewhere = [other for other in alike if other.provider != target.provider]
    here = [other for other in alike if other.provider == target.provider and other.dialect != target.dialect]
    found = Places(
        next(filter(usable, elsewhere), None),
        None if target.control_model is None else control_of(target, target.control_model),
        next(filter(usable, here), None),
    )
    if elsewhere:
        names = ", ".join(other.name for other in elsewhere)
        found = replace(found, why_not_elsewhere=f"no key is set for {names}; or name another with --elsewhere TARGET")
    if here:
        found = replace(found, why_not_other_dialect=f"no key is set for {', '.join(other.name for other in here)}")
    return found


def has_own_key(target: Target, env: Environment, trust: Trust) -> bool:
    """Whether the target has a key that may be sent to it. A server on this machine, without one, may not even run."""
    named = bool(target.key_env) and not is_loopback(target.base_url)
    return named and key_problem(target, env) is None and is_allowed(target, env, trust)


def control_of(target: Target, model: str) -> Target:
    """``model`` at the place of ``target``, as ``NAME@control``."""
    return replace(target, name=f"{target.name}@control", model=model, control_model=None)


def check_elsewhere(target: Target, other: Target) -> Target:
    """``other`` as the place elsewhere. Raises :class:`UsageError` if it is no other place, or of another model."""
    if other.provider == target.provider:
        raise UsageError(f"--elsewhere {other.name} is no other provider than that of {target.name}; name another one")
    if not _is_same_model(target, other):
        raise UsageError(
            f"--elsewhere {other.name} is another model ({other.model}) than {target.name} ({target.model}); "
            "write it as PROVIDER/MODEL"
        )
    return other


def check_other_model(target: Target, other: Target) -> Target:
    """``other`` as the other model here. Raises :class:`UsageError` if it is not here, or of the same model."""
    if other.provider != target.provider or other.dialect != target.dialect:
        raise UsageError(f"--other-model {other.name} is not at {target.provider} by {target.dialect}; name one there")
    if _is_same_model(target, other):
        raise UsageError(f"--other-model {other.name} is the model of {target.name} itself; name another one")
    return other


def _is_same_model(target: Target, other: Target) -> bool:
    return model_family(target.model) == model_family(other.model)


def _over_http(target: Target) -> bool:
    return isinstance(dialect(target.dialect), HttpDialect)
