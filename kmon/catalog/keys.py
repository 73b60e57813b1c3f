"""Whether a target's key is at hand, where it was found, and what is wrong with it. Never the key itself."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from kmon.catalog import aws
from kmon.catalog.address import host_and_port, is_loopback
from kmon.catalog.credential import Credential
from kmon.catalog.environment import Environment
from kmon.catalog.model import SOCKET_DIALECTS, Target

_SAFE = {"http": "https", "ws": "wss"}
AWS_CHOICES = f"{aws.BEARER}, or {aws.KEY_ID} and {aws.SECRET}, or an AWS profile"


def key_variable(target: Target, env: Mapping[str, str]) -> str | None:
    """The first of the target's key variables that is set. Of AWS's, only a Bedrock token is a key by itself."""
    names = (aws.BEARER,) if _uses_chain(target) else target.key_env
    return next((name for name in names if env.get(name)), None)


def key_place(target: Target, env: Environment) -> aws.Found | None:
    """What would be used as the target's key, and where it was found; None if there is none or none is needed."""
    if _uses_chain(target):
        return aws.found(env)
    name = key_variable(target, env)
    return aws.Found(name, env.source(name) or "") if name else None


def has_key(target: Target, env: Environment) -> bool:
    """True when the target's key is set or it needs none; anything will do for an AWS service on this machine."""
    if not target.key_env or target.dialect in SOCKET_DIALECTS or key_place(target, env) is not None:
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
        return aws.carried(env)
    name = key_variable(target, env)
    found = {name: env[name]} if name else {}
    return found | aws.region_variable(env) if target.auth == "aws" else found


def _uses_chain(target: Target) -> bool:
    """Whether the key is whatever the AWS chain finds, not one variable the user named."""
    return target.auth == "aws" and aws.BEARER in target.key_env


def _sendable(key: str) -> bool:
    return key.isascii() and key.isprintable() and " " not in key
