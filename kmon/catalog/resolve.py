"""Resolves what the user typed to a target or a scenario, or raises a sentence with suggestions."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from msgspec.structs import replace

from kmon.address import base_url_problem, env_name_problem, host_and_port, model_problem
from kmon.catalog import aws
from kmon.catalog.habits import habits_of
from kmon.catalog.load import Catalog
from kmon.catalog.long_prompt import STEPS_LIMIT, TOKENS_LIMIT, filled, with_steps
from kmon.dialects.registry import dialect as dialect_named
from kmon.errors import UsageError
from kmon.model import DEFAULT_DIALECT, Scenario, Target

CONTROL = "@control"
"""After the name of a target: its control model."""


def resolve_target(catalog: Catalog, text: str) -> Target:
    """A preset (``together``), its control model (``together@control``) or ``provider/model``.

    In ``provider/model`` the text before the first slash is a preset or a provider, the rest is the model. Raises
    :class:`UsageError`.
    """
    if text in catalog.targets:
        return catalog.targets[text]
    if text.endswith(CONTROL):
        return _control(_preset(catalog, text.removesuffix(CONTROL)), text)
    name, slash, model = text.partition("/")
    preset = _preset(catalog, name)
    if not slash:
        return preset
    if problem := model_problem(model):
        raise UsageError(f"target {text!r}: {problem}; write it as {name}/MODEL")
    return replace(preset, name=text, model=model)


def custom_target(
    base_url: str, model: str | None, dialect: str = DEFAULT_DIALECT, api_key_env: str | None = None
) -> Target:
    """The target of ``--base-url``, ``--model``, ``--dialect`` and ``--api-key-env``, named after its host.

    Raises :class:`UsageError`.
    """
    spoken = dialect_named(dialect)
    if problem := base_url_problem(base_url, spoken.schemes):
        raise UsageError(f"--base-url {problem}")
    model = model or spoken.unnamed_model
    if problem := model_problem(model):
        raise UsageError(f"--model: {problem}")
    if api_key_env is not None and (problem := env_name_problem(api_key_env)):
        raise UsageError(f"--api-key-env {problem}")
    host, usual = host_and_port(base_url), habits_of(base_url)
    return Target(
        name=host,
        provider=host,
        model=model,
        dialect=dialect,
        base_url=base_url.rstrip("/"),
        end_event=usual.end_event,
        finish_reason=usual.finish_reason,
        auth=spoken.auth,
        key_env=(api_key_env,) if api_key_env else aws.KEY_ENV if spoken.auth == "aws" else spoken.key_env,
    )


def resolve_scenario(catalog: Catalog, text: str) -> Scenario:
    """A scenario by name, with a size after a colon if it has one: ``long-context:50000`` (tokens), ``tool-chain:5``.

    Raises :class:`UsageError`.
    """
    name, colon, size = text.partition(":")
    scenario = catalog.scenarios.get(name)
    if scenario is None:
        raise _unknown("scenario", name, catalog.scenarios)
    if scenario.filler_tokens is not None:
        tokens = _size(text, size, "tokens", TOKENS_LIMIT) if colon else scenario.filler_tokens
        sized = filled(scenario, tokens)
    elif scenario.chain is not None:
        steps = _size(text, size, "steps", STEPS_LIMIT) if colon else scenario.chain.steps
        sized = with_steps(scenario, scenario.chain, steps)
    elif colon:
        raise UsageError(f"scenario {name!r} has no size; write it without {colon + size!r}")
    else:
        sized = scenario
    return replace(sized, name=text)


def resolve_scenarios(catalog: Catalog, given: Iterable[str]) -> list[Scenario]:
    """The scenarios of the values of ``--scenario``, each a name or several with commas; each scenario once.

    Raises :class:`UsageError`.
    """
    names = [name.strip() for several in given for name in several.split(",")]
    return [resolve_scenario(catalog, name) for name in dict.fromkeys(names)]


def _size(text: str, size: str, unit: str, limit: int) -> int:
    number = int(size) if size.isascii() and size.isdigit() and len(size) < 10 else 0
    if not 1 <= number <= limit:
        raise UsageError(f"scenario {text!r}: the size is a number of {unit}, 1 to {limit}")
    return number


def _preset(catalog: Catalog, name: str) -> Target:
    if name in catalog.targets:
        return catalog.targets[name]
    hosted = next((target for target in catalog.targets.values() if target.provider == name), None)
    if hosted is None:
        raise _unknown("target", name, catalog.targets)
    return hosted


def _control(preset: Target, text: str) -> Target:
    if preset.control_model is None:
        raise UsageError(f"target {preset.name!r} has no control model; aim with {preset.provider}/MODEL instead")
    return replace(preset, name=text, model=preset.control_model)


def _unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    names = list(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else ""
    if kind == "target":
        return UsageError(f"there is no target {name!r}; {hint + ' ' if hint else ''}run 'kmon targets' for the list")
    return UsageError(f"there is no scenario {name!r}; {hint or 'use one of ' + ', '.join(names)}")
