"""Whether a target's key is at hand, where it was found, what is wrong with it, and who may be sent it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import urlsplit

from kmon.address import host_and_port, is_loopback
from kmon.catalog import aws
from kmon.catalog.credential import PUBLIC, Credential, host_of
from kmon.catalog.environment import Environment
from kmon.catalog.trust import DEVICE, Trust, UntrustedHostError, Wish
from kmon.dialects.registry import dialect
from kmon.errors import UsageError
from kmon.logs import log
from kmon.model import Target

_SAFE = {"http": "https", "ws": "wss"}
AWS_CHOICES = f"{aws.BEARER}, or {aws.KEY_ID} and {aws.SECRET}, or an AWS profile"


def key_variable(target: Target, env: Mapping[str, str]) -> str | None:
    """The first of the target's key variables that is set. Of AWS's, only a Bedrock token is a key by itself."""
    names = tuple(name for name in target.key_env if name == aws.BEARER) if _uses_chain(target) else target.key_env
    return next((name for name in names if env.get(name)), None)


def keyed_targets(targets: Iterable[Target], env: Mapping[str, str]) -> tuple[Target, ...]:
    """Those whose key is set, each key used once: a key of one Moonshot site is no key of the other."""
    by_variable: dict[str, Target] = {}
    for target in targets:
        name = key_variable(target, env)
        if name and not dialect(target.dialect).websocket:  # a gateway is no provider: it is raced when it is named
            by_variable.setdefault(name, target)
    return tuple(by_variable.values())


def key_place(target: Target, env: Environment) -> aws.Found | None:
    """What would be used as the target's key, and where it was found; None if there is none or none is needed."""
    if _uses_chain(target):
        return aws.found(env)
    name = key_variable(target, env)
    return aws.Found(name, env.source(name) or "") if name else None


def has_key(target: Target, env: Environment) -> bool:
    """True when the target's key is set or it needs none; anything will do for an AWS service on this machine."""
    if not target.key_env or dialect(target.dialect).websocket or key_place(target, env) is not None:
        return True  # a gateway may want no key; one that does says so, and what to set
    return _uses_chain(target) and is_loopback(target.base_url)


def key_source(target: Target, env: Environment) -> str | None:
    """Where the target's key was found, e.g. ``TOGETHER_API_KEY in .env``; None if it is not set or none is needed."""
    place = key_place(target, env)
    return f"{place.what} in {place.where}" if place else None


def key_names(target: Target) -> str:
    """The variables that may hold the target's key, in words."""
    return AWS_CHOICES if _uses_chain(target) else " or ".join(target.key_env)


def key_problem(target: Target, env: Environment) -> str | None:
    """Why the target cannot be used with the keys at hand, as a sentence, or None if it can."""
    if not has_key(target, env):
        return f"{key_names(target)} is not set (needed by target {target.name}); put it in .env or run 'kmon --demo'"
    if not all(_sendable(secret) for secret in Credential(credential_variables(target, env)).secrets):
        return f"{key_source(target, env)} has spaces or characters no key has; copy the key again, without quotes"
    if (
        key_place(target, env)
        and urlsplit(target.base_url).scheme in ("http", "ws")
        and not is_loopback(target.base_url)
    ):
        where = host_and_port(target.base_url)
        return f"target {target.name} would send {key_source(target, env)} to {where} for all to read; use {_SAFE[urlsplit(target.base_url).scheme]}://"
    return None


def credential_variables(target: Target, env: Environment) -> dict[str, str]:
    """The variables to ask ``target`` with, by name; what it does not need stays behind."""
    if _uses_chain(target):
        names = (*target.key_env, *aws.REGIONS)
        return {name: value for name, value in aws.carried(env).items() if name in names}
    name = key_variable(target, env)
    found = {name: env[name]} if name else {}
    return found | aws.region_variable(env) if target.auth == "aws" else found


def credential(target: Target, env: Environment, trust: Trust) -> Credential:
    """What to ask ``target`` with, and the hosts that may be sent it.

    Raises :class:`UsageError` for a key that is missing or cannot be used, and :class:`UntrustedHostError` where a
    project's file would have it sent to a host that the user has not allowed.
    """
    if problem := key_problem(target, env):
        raise UsageError(problem)
    check_trust([target], env, trust)
    variables = credential_variables(target, env)
    log.hide(Credential(variables).secrets)
    if target.auth != "aws":
        return Credential(variables, (host_of(target.base_url),))
    chain = not target.named_in or not (is_loopback(target.base_url) or trust.wish(target, [aws.PROFILE]))
    if not chain:
        variables.pop(aws.PROFILE, None)
    if not _uses_chain(target):  # a variable the user named holds a Bedrock token
        variables = {name if name in aws.REGIONS else aws.BEARER: value for name, value in variables.items()}
    return Credential(variables, aws.hosts_of(target, env), chain)


def check_trust(targets: Iterable[Target], env: Environment, trust: Trust) -> None:
    """Raise :class:`UntrustedHostError` with all that a project wants for ``targets`` and is not allowed."""
    wishes = [wish for target in targets if (wish := _wish(target, env, trust))]
    if wishes:
        raise UntrustedHostError(trust.directory, wishes)


def wish_of(target: Target, trust: Trust) -> Wish | None:
    """All that the target's project could have sent to it, whatever is set now; None where that is allowed."""
    if trust.is_allowed(target):
        return None
    asked = trust.wish(target, [*target.key_env, *_beside_variables(target)])
    passing = trust.passing(target)
    names = (*(asked.names if asked else ()), *(passing.names if passing else ()))
    return Wish(target.named_in, names, host_of(target.base_url)) if names else None


def is_allowed(target: Target, env: Environment, trust: Trust) -> bool:
    """Whether the target may be asked with the keys at hand, as far as a project's file has a say in it."""
    return _wish(target, env, trust) is None


def _wish(target: Target, env: Environment, trust: Trust) -> Wish | None:
    return trust.wish(target, _users_own(target, env, trust)) if has_key(target, env) else None


def _users_own(target: Target, env: Environment, trust: Trust) -> Iterator[str]:
    """What a request to ``target`` takes along of its user's, by name: all that the project did not bring itself.

    A variable that kmon's catalog or the user's own file names is the user's wherever it is set: keys are put into the
    ``.env`` of the directory one works in.
    """
    held = [name for name in credential_variables(target, env) if name not in PUBLIC]
    yield from (name for name in held if name in trust.homes or not env.is_projects(name))
    yield from (name for name in _beside_variables(target) if name == DEVICE or not held)


def _beside_variables(target: Target) -> tuple[str, ...]:
    """What a request may be signed with that no variable of the target's holds."""
    chain = (aws.PROFILE,) if target.auth == "aws" else ()
    return (*chain, DEVICE) if dialect(target.dialect).signs_with_device else chain


def _uses_chain(target: Target) -> bool:
    """Whether the key is whatever the AWS chain finds, not one variable the user named."""
    return target.auth == "aws" and any(name in aws.KEY_ENV for name in target.key_env)


def _sendable(key: str) -> bool:
    return key.isascii() and key.isprintable() and " " not in key
