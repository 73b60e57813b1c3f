"""Fills the variables of base URLs, such as ``{azure_resource}``, from the environment.

A value becomes a part of a host or of a path, so each variable accepts only names that have no other meaning there: no
dot, slash, colon or ``@``. The list is closed: a project's file cannot put any other variable into a URL.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from kmon.catalog.environment import Environment
from kmon.model import REGION, Target

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_MULTI_REGIONS = ("us", "eu")
_LOCATION = r"[a-z]{2,20}(?:-[a-z]{2,20}\d{1,2})?"


class UrlVariable(Struct, frozen=True):
    """A part of base URLs, and the environment variables that may hold it, first match wins."""

    names: tuple[str, ...]
    pattern: str
    """The values that are accepted, as a regular expression without case."""
    what: str
    """What a value is, with an example, in words that follow "is not"."""
    written: Callable[[str], str] = str.lower
    """A value as it is written in the URL."""
    default: str | None = None
    owned: bool = False
    """Whether the value names a host of one customer, so that it decides who gets the key."""

    def variable(self, env: Mapping[str, str]) -> str | None:
        """The first of the variables that is set."""
        return next((name for name in self.names if env.get(name)), None)

    def value(self, env: Mapping[str, str]) -> str | None:
        """What the URL gets; None for a variable that is not set or not accepted."""
        name = self.variable(env)
        given = env[name] if name else self.default
        accepted = given is not None and re.fullmatch(self.pattern, given, re.ASCII | re.IGNORECASE)
        return self.written(given) if given is not None and accepted else None


def google_host(location: str) -> str:
    """The host of a Vertex location: a region, a multi-region, or ``global``.

    Source: https://platform.claude.com/docs/en/build-with-claude/claude-on-vertex-ai and the SDKs of both vendors.
    """
    location = location.lower()
    if location == "global":
        return "aiplatform.googleapis.com"
    if location in _MULTI_REGIONS:
        return f"aiplatform.{location}.rep.googleapis.com"
    return f"{location}-aiplatform.googleapis.com"


_LOCATION_NAMES = ("GOOGLE_CLOUD_LOCATION", "GOOGLE_VERTEX_LOCATION")
URL_VARIABLES: dict[str, UrlVariable] = {
    # https://learn.microsoft.com/azure/ai-services/cognitive-services-custom-subdomains; the name of the variable is
    # that of https://ai-sdk.dev/providers/ai-sdk-providers/azure and models.dev
    "azure_resource": UrlVariable(
        ("AZURE_RESOURCE_NAME",),
        r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?",
        "the name of an Azure resource, such as my-resource",
        owned=True,
    ),
    # GOOGLE_CLOUD_...: google-genai; GOOGLE_VERTEX_...: @ai-sdk/google-vertex and models.dev. Project ids:
    # https://cloud.google.com/resource-manager/docs/creating-managing-projects (a project's number is accepted, too)
    "google_project": UrlVariable(
        ("GOOGLE_CLOUD_PROJECT", "GOOGLE_VERTEX_PROJECT"),
        r"[a-z0-9][a-z0-9-]{4,28}[a-z0-9]",
        "the id of a Google Cloud project, such as my-project-123",
    ),
    "google_location": UrlVariable(
        _LOCATION_NAMES, _LOCATION, "a location of Google Cloud, such as us-central1 or global", default="global"
    ),
    "google_host": UrlVariable(
        _LOCATION_NAMES,
        _LOCATION,
        "a location of Google Cloud, such as us-central1 or global",
        google_host,
        default="global",
    ),
}
"""Every variable that a base URL may have beside ``{region}``, which is resolved when the request is sent."""


def variables_in(base_url: str) -> tuple[str, ...]:
    """The variables of a base URL, each once."""
    return tuple(dict.fromkeys(name for name in _PLACEHOLDER.findall(base_url) if name in URL_VARIABLES))


def unknown_in(base_url: str) -> str | None:
    """The first ``{...}`` of a base URL that kmon cannot fill."""
    known = {REGION, *(f"{{{name}}}" for name in URL_VARIABLES)}
    return next((found[0] for found in _PLACEHOLDER.finditer(base_url) if found[0] not in known), None)


def with_examples(base_url: str) -> str:
    """A base URL with ``example`` in place of each variable, to check the rest of it."""
    return _PLACEHOLDER.sub(lambda found: "example" if found[1] in URL_VARIABLES else found[0], base_url)


def filled(target: Target, env: Mapping[str, str]) -> Target:
    """The target with its base URL filled in; unchanged if a value is missing or not accepted."""
    values = {name: URL_VARIABLES[name].value(env) for name in target.url_variables}
    if not values or None in values.values():
        return target
    return replace(target, base_url=_PLACEHOLDER.sub(lambda found: values.get(found[1]) or found[0], target.base_url))


def url_problem(target: Target, env: Environment) -> str | None:
    """A sentence on the first variable of the base URL that is missing or not accepted; None if all are filled in."""
    for known in (URL_VARIABLES[name] for name in target.url_variables):
        if known.value(env) is not None:
            continue
        name = known.variable(env)
        if name is None:
            names = " or ".join(known.names)
            return f"{names} is not set (needed by target {target.name}); put it in .env or run 'kmon --demo'"
        return f"{name} in {env.source(name)} is not {known.what}; correct it or unset it"
    return None


def projects_variable(target: Target, env: Environment) -> str | None:
    """The variable by which the ``.env`` of a project chooses whose host the base URL is; None if none does."""
    owned = (URL_VARIABLES[name] for name in target.url_variables if URL_VARIABLES[name].owned)
    return next((name for known in owned if (name := known.variable(env)) and env.is_projects(name)), None)


def url_env(target: Target) -> tuple[str, ...]:
    """The environment variables that may hold a part of the base URL."""
    return tuple(dict.fromkeys(name for each in target.url_variables for name in URL_VARIABLES[each].names))
