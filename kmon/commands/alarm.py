"""What an alert is to set off, settled and checked before the race starts."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterable, Mapping, Sequence

from kmon.catalog.address import base_url_problem, is_loopback
from kmon.catalog.aws import KEY_ENV
from kmon.catalog.errors import UsageError
from kmon.catalog.model import Target
from kmon.config import Loaded
from kmon.race.alarm import AlarmPlan
from kmon.race.plan import RacePlan
from kmon.transport.proxy import proxy_for

WEBHOOK_ENV = "KMON_ALERT_WEBHOOK"


def alarm_plan(loaded: Loaded, plan: RacePlan) -> AlarmPlan:
    """The plan for alerts. Raises :class:`UsageError` for a program that does not exist and a URL that will not do."""
    settings = loaded.settings
    keyed = [*loaded.catalog.targets.values(), *(row.target for row in plan.rows)]
    return AlarmPlan(
        command=_command(settings.on_alert),
        webhook=_webhook(settings.alert_webhook),
        environment=without_keys(os.environ, keyed),
    )


def without_keys(environ: Mapping[str, str], targets: Iterable[Target]) -> dict[str, str]:
    """The environment of the user's program: no key that kmon could use, and not the webhook's address."""
    secret = {WEBHOOK_ENV, *KEY_ENV, *(name for target in targets for name in target.key_env)}
    return {name: value for name, value in environ.items() if name not in secret}


def _command(line: str) -> Sequence[str]:
    try:
        arguments = shlex.split(line)
    except ValueError as error:
        raise UsageError(f"--on-alert: the command cannot be read ({error}); close its quotes") from None
    if line and not arguments:
        raise UsageError("--on-alert: the command is empty; name a program")
    if arguments and shutil.which(arguments[0]) is None:
        raise UsageError(f"--on-alert: there is no program {arguments[0]!r} that can be run; correct its name or path")
    return arguments


def _webhook(url: str) -> str:
    if not url:
        return ""
    problem = base_url_problem(url.partition("?")[0])
    if problem is None and not url.startswith("https://") and not is_loopback(url):
        problem = "must be https://, or http:// on this machine"
    if problem is None and ("#" in url or not url.isascii() or " " in url):
        problem = "has characters that cannot be in a URL"
    if problem is not None:
        raise UsageError(f"--alert-webhook: the URL {problem}")
    proxy_for(url)
    return url
