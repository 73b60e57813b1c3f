"""What an alert is to set off, settled and checked before the race starts."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

from kmon.catalog.address import base_url_problem, is_loopback
from kmon.catalog.errors import UsageError
from kmon.engine.alert_hooks import AlarmPlan
from kmon.settings import Settings
from kmon.transport.proxy import proxy_for


def alarm_plan(settings: Settings) -> AlarmPlan:
    """The plan for alerts. Raises :class:`UsageError` for a program that does not exist and a URL that will not do."""
    return AlarmPlan(
        command=_command(settings.on_alert),
        webhook=_webhook(settings.alert_webhook),
    )


def _command(line: str) -> Sequence[str]:
    try:
        arguments = shlex.split(line)
    except ValueError as error:
        raise UsageError(f"--on-alert: the command cannot be read ({error}); close its quotes") from None
    if line and not arguments:
        raise UsageError("--on-alert: the command is empty; name a program")
    program = shutil.which(arguments[0]) if arguments else ""
    if program is None:
        raise UsageError(f"--on-alert: there is no program {arguments[0]!r} that can be run; correct its name or path")
    return [str(Path(program).absolute()), *arguments[1:]] if program else []  # it is run in another directory


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
