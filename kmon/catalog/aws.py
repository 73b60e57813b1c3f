"""AWS credentials and region by the usual rules: which variables or profile would be used, and where that was found.

The order is the SDKs': a Bedrock bearer token, then an access key pair (its session token only from the same place),
then a profile of the user's AWS files. Files are looked at for the names of profiles and their regions only.
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
"""What the ``key_env`` of an AWS target lists."""
FALLBACK_REGION = "us-east-1"
_ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AWS_ENDPOINT_URL")
_HOSTS = (
    "bedrock-runtime.{region}.amazonaws.com",
    "bedrock-runtime.{region}.amazonaws.com.cn",
    "bedrock-runtime-fips.{region}.amazonaws.com",
    "bedrock-runtime.{region}.api.aws",
    "bedrock-runtime-fips.{region}.api.aws",
)
"""Where the AWS client may go by itself for a region: by partition, with FIPS, with IPv6."""
FILE_LIMIT_BYTES = 1 << 20


class Found(NamedTuple):
    """What would be used as a key, e.g. ``AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY``, and where it was found."""

    what: str
    where: str


def found(env: Environment) -> Found | None:
    """The credentials the chain would use, or None if kmon sees none (an instance's role is not looked for)."""
    if env.get(BEARER):
        return Found(BEARER, env.source(BEARER) or "")
    if env.get(KEY_ID) and env.get(SECRET):
        return Found(f"{KEY_ID} and {SECRET}", env.source(KEY_ID) or "")
    profile = env.get(PROFILE, "default")
    place = next((path for path in _files(env) if profile in _profiles(path)), None)
    return None if place is None else Found(f"profile {profile}", _shown(place, env))


def carried(env: Environment) -> dict[str, str]:
    """The variables an AWS client needs of ``env``, by name: the credentials that win, the profile, the region."""
    names: tuple[str, ...] = (PROFILE,)
    if env.get(BEARER):
        names = (BEARER,)
    elif env.get(KEY_ID) and env.get(SECRET):
        same_place = env.source(SESSION) == env.source(KEY_ID)
        names = (KEY_ID, SECRET, SESSION) if same_place else (KEY_ID, SECRET)
    return {name: env[name] for name in names if name in env} | region_variable(env)


def region_variable(env: Environment) -> dict[str, str]:
    """The region the environment or the profile asks for, under the first of REGIONS; empty if neither does.

    Raises :class:`UsageError` for one that is none: it becomes part of a host's name.
    """
    name = next((name for name in REGIONS if env.get(name)), None)
    region = env[name] if name else _profile_region(env)
    if region and not is_region(region):
        where = f"{name} in {env.source(name)}" if name else "the region of the AWS profile"
        raise UsageError(f"{where} is no name of an AWS region, such as us-east-1; correct it or unset it")
    return {REGIONS[0]: region} if region else {}


def is_region(name: str) -> bool:
    """Whether ``name`` has the form of an AWS region's."""
    return re.fullmatch(REGION_NAME, name) is not None


def hosts_of(target: Target, env: Environment) -> tuple[str, ...]:
    """The hosts a request to an AWS target may reach: its own, or where the AWS client goes for its region.

    That is also an endpoint the user has set in the real environment, as the AWS command line would take it.
    """
    if REGION not in target.base_url:
        return (host_of(target.base_url),)
    own = next((env.real[name] for name in _ENDPOINT_VARIABLES if env.real.get(name)), None)
    return (*_HOSTS, *([host_of(own)] if own else []), host_of(target.base_url))


def region_of(target: Target, variables: Mapping[str, str]) -> str:
    """Where a request to ``target`` goes: its own region, else the environment's, else where the model is known."""
    said = target.region or next((variables[name] for name in REGIONS if variables.get(name)), None)
    region = said or next(iter(target.regions), FALLBACK_REGION)
    if not is_region(region):
        raise UsageError("AWS_REGION is no name of an AWS region, such as us-east-1; correct it or unset it")
    return region


def base_url_of(target: Target, variables: Mapping[str, str]) -> str:
    """The base URL of a target with its region in place, where it has one."""
    return (
        target.base_url.replace(REGION, region_of(target, variables)) if REGION in target.base_url else target.base_url
    )


def _profile_region(env: Environment) -> str | None:
    profile = env.get(PROFILE, "default")
    return next((region for path in _files(env) if (region := _profiles(path).get(profile, ""))), None)


def _files(env: Environment) -> tuple[Path, ...]:
    """The files of the AWS command line; none where the environment names no home. A project's ``.env`` names none."""
    home = _home(env)
    named = (env.real.get("AWS_SHARED_CREDENTIALS_FILE"), env.real.get("AWS_CONFIG_FILE"))
    usual = (f"{home}/.aws/credentials", f"{home}/.aws/config") if home else (None, None)
    paths = [given or default for given, default in zip(named, usual, strict=True)]
    return tuple(Path(path).expanduser() for path in paths if path)


def _profiles(path: Path) -> dict[str, str]:
    """Profile names of an AWS file, and the region each sets (may be empty). A file that cannot be read has none."""
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
            if name.rstrip().lower() == "region":  # an indented one is a part of the setting above it
                regions[section] = value.strip()
    return regions


def _home(env: Environment) -> str | None:
    return env.real.get("HOME") or env.real.get("USERPROFILE")


def _shown(path: Path, env: Environment) -> str:
    home = _home(env)
    return f"~/{path.relative_to(home)}" if home and path.is_relative_to(home) else str(path)


def endpoint_of(target: Target, by_env: Mapping[str, str]) -> AwsEndpoint:
    """Where a Bedrock target's requests go; its own base URL counts where it names no region."""
    return AwsEndpoint(
        region_of(target, by_env),
        None if REGION in target.base_url else target.base_url,
        target.simulated or is_loopback(target.base_url),
    )


class AwsEndpoint(NamedTuple):
    """Where requests to an AWS service go."""

    region: str
    endpoint_url: str | None
    """None for the endpoint that botocore finds for the region."""
    placeholder: bool
    """Whether a request without a credential is signed with invented keys."""
