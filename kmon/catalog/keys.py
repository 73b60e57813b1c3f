"""Finds the key of a target in the environment, checks it, and makes the credential with its allowed hosts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import urlsplit

from kmon.address import host_and_port, is_loopback
from kmon.catalog import aws
from kmon.catalog.credential import PUBLIC, Credential, host_of
from kmon.catalog.environment import Environment
from kmon.catalog.trust import DEVICE, Trust, UntrustedHostError, Wish
from kmon.catalog.url_variables import URL_VARIABLES, projects_variable, url_problem
from kmon.dialects.registry import dialect
from kmon.errors import UsageError
from kmon.logs import log
from kmon.model import Target

_SECURE_SCHEME = {"http": "https", "ws": "wss"}
AWS_CHOICES = f"{aws.BEARER}, or {aws.KEY_ID} and {aws.SECRET}, or an AWS profile"


def key_variable(target: Target, env: Mapping[str, str]) -> str | None:
    """The first key variable of the target that is set; of AWS's variables only the Bedrock token counts."""
    names = tuple(name for name in target.key_env if name == aws.BEARER) if _uses_chain(target) else target.key_env
    return next((name for name in names if env.get(name)), None)


def keyed_targets(targets: Iterable[Target], env: Mapping[str, str]) -> tuple[Target, ...]:
    """The targets whose key and base URL are set, one per key variable. Gateways are left out."""
    by_variable: dict[str, Target] = {}
    for target in targets:
        name = key_variable(target, env)
        reachable = all(URL_VARIABLES[each].value(env) for each in target.url_variables)
        if name and reachable and not dialect(target.dialect).websocket:  # a gateway takes part only if it is named
            by_variable.setdefault(name, target)
    return tuple(by_variable.values())


def key_place(target: Target, env: Environment) -> aws.FoundKey | None:
    """The target's key by name, and where it was found; None if it is not set or not needed."""
    if _uses_chain(target):
        return aws.find_key(env)
    name = key_variable(target, env)
    return aws.FoundKey(name, env.source(name) or "") if name else None


def has_key(target: Target, env: Environment) -> bool:
    """Whether the key is set or not needed. A gateway or an AWS service on this machine needs none."""
    if not target.key_env or dialect(target.dialect).websocket or key_place(target, env) is not None:
        return True  # a gateway that needs one refuses with a sentence that names it
    return _uses_chain(target) and is_loopback(target.base_url)


def key_source(target: Target, env: Environment) -> str | None:
    """The origin of the target's key, e.g. ``TOGETHER_API_KEY in .env``; None if it is not set or not needed."""
    place = key_place(target, env)
    return f"{place.what} in {place.where}" if place else None


def key_names(target: Target) -> str:
    """The key variables of the target, as words of a sentence."""
    return AWS_CHOICES if _uses_chain(target) else " or ".join(target.key_env)


def key_problem(target: Target, env: Environment) -> str | None:
    """A sentence on why the target cannot be used with the keys that are set; None if it can."""
    if not has_key(target, env):
        return f"{key_names(target)} is not set (needed by target {target.name}); put it in .env or run 'kmon --demo'"
    if not all(_sendable(secret) for secret in Credential(credential_variables(target, env)).secrets):
        return f"{key_source(target, env)} has spaces or characters no key has; copy the key again, without quotes"
    if problem := url_problem(target, env) or _stray_problem(target, env):
        return problem
    if (
        key_place(target, env)
        and urlsplit(target.base_url).scheme in ("http", "ws")
        and not is_loopback(target.base_url)
    ):
        where = host_and_port(target.base_url)
        return f"target {target.name} would send {key_source(target, env)} to {where} for all to read; use {_SECURE_SCHEME[urlsplit(target.base_url).scheme]}://"
    return None


def _stray_problem(target: Target, env: Environment) -> str | None:
    """Why the key may not follow a host that the ``.env`` of a project chooses: it is from somewhere else."""
    chooser, key = projects_variable(target, env), key_variable(target, env)
    if chooser is None or key is None or env.is_projects(key):
        return None
    return (
        f"{chooser} in .env would have {key_source(target, env)} sent to {host_and_port(target.base_url)}, and .env "
        f"may be a stranger's; set {chooser} in the environment as well"
    )


def credential_variables(target: Target, env: Environment) -> dict[str, str]:
    """The variables, by name, that requests to ``target`` need, and no others."""
    if _uses_chain(target):
        names = (*target.key_env, *aws.REGIONS)
        return {name: value for name, value in aws.client_variables(env).items() if name in names}
    name = key_variable(target, env)
    found = {name: env[name]} if name else {}
    return found | aws.region_variable(env) if target.auth == "aws" else found


def credential(target: Target, env: Environment, trust: Trust) -> Credential:
    """The secrets for requests to ``target``, and the hosts that they may be sent to.

    Raises :class:`UsageError` for a key that is missing or cannot be used, and :class:`UntrustedHostError` if a
    project's file sends it to a host that the user has not allowed.
    """
    if problem := key_problem(target, env):
        raise UsageError(problem)
    check_trust([target], env, trust)
    variables = credential_variables(target, env)
    log.hide(Credential(variables).secrets)
    if target.auth != "aws":
        return Credential(variables, (host_of(target.base_url),))
    chain = target.named_in is None or not (is_loopback(target.base_url) or trust.wish(target, [aws.PROFILE]))
    if not chain:
        variables.pop(aws.PROFILE, None)
    if not _uses_chain(target):  # a variable that the user named holds a Bedrock token
        variables = {name if name in aws.REGIONS else aws.BEARER: value for name, value in variables.items()}
    return Credential(variables, aws.hosts_of(target, env), chain)


def check_trust(targets: Iterable[Target], env: Environment, trust: Trust) -> None:
    """Raise :class:`UntrustedHostError` with all wishes for ``targets`` that are not allowed."""
    wishes = [wish for target in targets if (wish := _wish(target, env, trust))]
    if wishes:
        raise UntrustedHostError(trust.directory, wishes)


def wish_of(target: Target, trust: Trust) -> Wish | None:
    """All keys that the project could send to the target, set now or not; None if that is allowed."""
    place = trust.asking_line(target)
    if place is None:
        return None
    asked = trust.wish(target, [*target.key_env, *_keys_without_variable(target)])
    passing = trust.passing(target)
    names = (*(asked.names if asked else ()), *(passing.names if passing else ()))
    return Wish(place, names, host_of(target.base_url)) if names else None


def is_allowed(target: Target, env: Environment, trust: Trust) -> bool:
    """Whether the keys that are set may be sent to the target."""
    return _wish(target, env, trust) is None


def _wish(target: Target, env: Environment, trust: Trust) -> Wish | None:
    return trust.wish(target, _user_keys(target, env, trust)) if has_key(target, env) else None


def _user_keys(target: Target, env: Environment, trust: Trust) -> Iterator[str]:
    """The user's keys in a request to ``target``, by name: all that the project did not set itself.

    A variable that kmon's catalog or the user's own file names is the user's, even if it is set in the project's
    ``.env``, because users put their keys there.
    """
    secret_names = [name for name in credential_variables(target, env) if name not in PUBLIC]
    yield from (name for name in secret_names if name in trust.key_hosts or not env.is_projects(name))
    yield from (name for name in _keys_without_variable(target) if name == DEVICE or not secret_names)


def _keys_without_variable(target: Target) -> tuple[str, ...]:
    """Keys that a request may use although they are in none of the target's variables."""
    chain = (aws.PROFILE,) if target.auth == "aws" else ()
    return (*chain, DEVICE) if dialect(target.dialect).signs_with_device else chain


def _uses_chain(target: Target) -> bool:
    """Whether the key is found by the rules of the AWS SDKs, not in a variable that the user named."""
    return target.auth == "aws" and any(name in aws.KEY_ENV for name in target.key_env)


def _sendable(key: str) -> bool:
    return key.isascii() and key.isprintable() and " " not in key
