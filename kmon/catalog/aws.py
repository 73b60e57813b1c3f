"""Finds AWS credentials, region and endpoint by the rules of the AWS SDKs.

Order of the SDKs: a Bedrock bearer token, then an access key pair (with a session token of the same origin only), then
a profile of the user's AWS files. Of these files only profile names and regions are read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from kmon.address import is_loopback
from kmon.catalog.credential import REGION_NAME, host_of
from kmon.catalog.environment import Environment
from kmon.catalog.reading import UnreadableError, read_regular
from kmon.errors import UsageError
from kmon.model import REGION, Target

BEARER = "AWS_BEARER_TOKEN_BEDROCK"
KEY_ID, SECRET, SESSION = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"
PROFILE = "AWS_PROFILE"
REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")
KEY_ENV = (BEARER, KEY_ID, SECRET, SESSION, PROFILE)
"""The ``key_env`` of an AWS target."""
FALLBACK_REGION = "us-east-1"
_ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AWS_ENDPOINT_URL")
_HOSTS = (
    "bedrock-runtime.{region}.amazonaws.com",
    "bedrock-runtime.{region}.amazonaws.com.cn",
    "bedrock-runtime-fips.{region}.amazonaws.com",
    "bedrock-runtime.{region}.api.aws",
    "bedrock-runtime-fips.{region}.api.aws",
)
"""Hosts that the AWS client may use for a region: by partition, with FIPS, with IPv6."""
FILE_LIMIT_BYTES = 1 << 20


class FoundKey(NamedTuple):
    """What is used as a key, e.g. ``AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY``, and where it was found."""

    what: str
    where: str


class AwsEndpoint(NamedTuple):
    """Region and endpoint of requests to an AWS service."""

    region: str
    endpoint_url: str | None
    """None: the endpoint that botocore determines from the region."""
    placeholder: bool
    """Whether a request without a credential is signed with placeholder keys."""


def find_key(env: Environment) -> FoundKey | None:
    """The credentials that the AWS client would use; None without any. The role of an instance is not looked up."""
    if env.get(BEARER):
        return FoundKey(BEARER, env.source(BEARER) or "")
    if env.get(KEY_ID) and env.get(SECRET):
        return FoundKey(f"{KEY_ID} and {SECRET}", env.source(KEY_ID) or "")
    profile = env.get(PROFILE, "default")
    place = next((path for path in _files(env) if profile in _profiles(path)), None)
    return None if place is None else FoundKey(f"profile {profile}", _shown(place, env))


def client_variables(env: Environment) -> dict[str, str]:
    """The variables of ``env`` for an AWS client: the first credentials found, or the profile, and the region."""
    names: tuple[str, ...] = (PROFILE,)
    if env.get(BEARER):
        names = (BEARER,)
    elif env.get(KEY_ID) and env.get(SECRET):
        same_place = env.source(SESSION) == env.source(KEY_ID)
        names = (KEY_ID, SECRET, SESSION) if same_place else (KEY_ID, SECRET)
    return {name: env[name] for name in names if name in env} | region_variable(env)


def region_variable(env: Environment) -> dict[str, str]:
    """The region of the environment or profile, under the first name of ``REGIONS``; empty without one.

    Raises :class:`UsageError` for an invalid name, because it becomes part of a host name.
    """
    name = next((name for name in REGIONS if env.get(name)), None)
    region = env[name] if name else _profile_region(env)
    if region and not is_region(region):
        where = f"{name} in {env.source(name)}" if name else "the region of the AWS profile"
        raise UsageError(f"{where} is no name of an AWS region, such as us-east-1; correct it or unset it")
    return {REGIONS[0]: region} if region else {}


def is_region(name: str) -> bool:
    """Whether ``name`` has the form of an AWS region name."""
    return re.fullmatch(REGION_NAME, name) is not None


def hosts_of(target: Target, env: Environment) -> tuple[str, ...]:
    """The hosts of requests to an AWS target: its own, or those that the AWS client uses for its region.

    These include an endpoint URL of the real environment, which the AWS client uses as well.
    """
    if REGION not in target.base_url:
        return (host_of(target.base_url),)
    own = next((env.real[name] for name in _ENDPOINT_VARIABLES if env.real.get(name)), None)
    return (*_HOSTS, *([host_of(own)] if own else []), host_of(target.base_url))


def region_of(target: Target, variables: Mapping[str, str]) -> str:
    """The region of requests to ``target``: its own, else the environment's, else the first that has the model.

    Raises :class:`UsageError` for an invalid name.
    """
    given = target.region or next((variables[name] for name in REGIONS if variables.get(name)), None)
    region = given or next(iter(target.regions), FALLBACK_REGION)
    if not is_region(region):
        raise UsageError("AWS_REGION is no name of an AWS region, such as us-east-1; correct it or unset it")
    return region


def base_url_of(target: Target, variables: Mapping[str, str]) -> str:
    """The base URL of a target, with its region filled in."""
    return (
        target.base_url.replace(REGION, region_of(target, variables)) if REGION in target.base_url else target.base_url
    )


def endpoint_of(target: Target, by_env: Mapping[str, str]) -> AwsEndpoint:
    """The endpoint of a Bedrock target: its base URL, or the one of its region."""
    return AwsEndpoint(
        region_of(target, by_env),
        None if REGION in target.base_url else target.base_url,
        target.simulated or is_loopback(target.base_url),
    )


def _profile_region(env: Environment) -> str | None:
    profile = env.get(PROFILE, "default")
    return next((region for path in _files(env) if (region := _profiles(path).get(profile, ""))), None)


def _files(env: Environment) -> tuple[Path, ...]:
    """The AWS files, by the real environment only; none without a home directory."""
    home = _home(env)
    named = (env.real.get("AWS_SHARED_CREDENTIALS_FILE"), env.real.get("AWS_CONFIG_FILE"))
    default_paths = (f"{home}/.aws/credentials", f"{home}/.aws/config") if home else (None, None)
    paths = [given or default for given, default in zip(named, default_paths, strict=True)]
    return tuple(Path(path).expanduser() for path in paths if path)


def _profiles(path: Path) -> dict[str, str]:
    """Region by profile name of an AWS file (empty if not set). A file that cannot be read has no profiles."""
    try:
        text = (read_regular(path, FILE_LIMIT_BYTES) or b"").decode()
    except (UnreadableError, UnicodeDecodeError):
        return {}
    regions: dict[str, str] = {}
    section: str | None = None
    for line in text.splitlines():
        if line.startswith("["):
            section = line[1 : max(line.rfind("]"), 1)]
            if not section.startswith(("sso-session ", "services ")):
                section = section.removeprefix("profile ").strip()
                regions.setdefault(section, "")
        elif section in regions:
            name, _, value = line.partition("=")
            if name.rstrip().lower() == "region":  # an indented line belongs to the setting above it
                regions[section] = value.strip()
    return regions


def _home(env: Environment) -> str | None:
    return env.real.get("HOME") or env.real.get("USERPROFILE")


def _shown(path: Path, env: Environment) -> str:
    home = _home(env)
    return f"~/{path.relative_to(home)}" if home and path.is_relative_to(home) else str(path)
