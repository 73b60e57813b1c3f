"""What ``kmon targets`` prints: the targets, and where each key was found, never the key."""

from __future__ import annotations

import json
from collections.abc import Sequence

from kmon.catalog.aws import base_url_of
from kmon.catalog.environment import Environment
from kmon.catalog.keys import credential_variables, has_key, is_allowed, key_names, key_place, key_source
from kmon.catalog.trust import Trust
from kmon.catalog.url_variables import url_env, url_problem
from kmon.dialects.text import clean
from kmon.doctor.model_list import ModelListCheck
from kmon.model import Target

_TITLES = ("NAME", "PROVIDER/MODEL", "DIALECT", "BASE URL", "KEY")


def list_targets(
    targets: Sequence[Target], env: Environment, trust: Trust, *, as_json: bool, quirks: bool = False
) -> str:
    """The targets as a table, with quirks if asked, or as one JSON object per line."""
    if as_json:
        return "\n".join(
            json.dumps(_described(target, env) | {"allowed": is_allowed(target, env, trust)}) for target in targets
        )
    rows = [(t.name, t.label, t.dialect, _reached_at(t, env), _key(t, env, trust)) for t in targets]
    lines = _columns([_TITLES, *rows])
    for target in targets if quirks else ():
        lines.append("")
        if target.control_model:
            lines.append(f"{target.name}: control model {target.control_model}")
        if target.regions:
            lines.append(f"{target.name}: known to be served in {', '.join(target.regions)}")
        lines += [f"{target.name}: {clean(quirk)}" for quirk in target.quirks]
    return "\n".join(lines)


def list_checks(targets: Sequence[Target], checks: Sequence[ModelListCheck], env: Environment, *, as_json: bool) -> str:
    """The result of the check of each target, as aligned lines or as one JSON object per line."""
    pairs = list(zip(targets, checks, strict=True))
    if as_json:
        return "\n".join(
            json.dumps(_described(target, env) | {"check": result.described()}) for target, result in pairs
        )
    return "\n".join(_columns([(target.name, result.state, result.sentence) for target, result in pairs]))


def key_status(target: Target, env: Environment) -> str:
    """``TOGETHER_API_KEY (.env)``, ``not set`` or ``no key needed``."""
    if not target.key_env:
        return "no key needed"
    place = key_place(target, env)
    if place is None and target.auth == "aws":
        return "no AWS credentials found"
    status = f"{place.what} ({place.where})" if place else f"{key_names(target)} not set"
    problem = url_problem(target, env)
    return status if problem is None else f"{status}; {problem.partition(' (')[0].partition('; ')[0]}"


def _key(target: Target, env: Environment, trust: Trust) -> str:
    allowed = is_allowed(target, env, trust)
    return key_status(target, env) if allowed else f"not allowed to a project: 'kmon trust {trust.directory}'"


def _reached_at(target: Target, env: Environment) -> str:
    return base_url_of(target, credential_variables(target, env))


def _described(target: Target, env: Environment) -> dict[str, object]:
    return {
        "name": target.name,
        "provider": target.provider,
        "model": target.model,
        "control_model": target.control_model,
        "dialect": target.dialect,
        "base_url": _reached_at(target, env),
        "auth": target.auth,
        "key_env": list(target.key_env),
        "key_source": key_source(target, env),
        "url_env": list(url_env(target)),
        "ready": has_key(target, env) and url_problem(target, env) is None,
        "regions": list(target.regions),
        "quirks": list(target.quirks),
    }


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    padded = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return [line.rstrip() for line in padded]
