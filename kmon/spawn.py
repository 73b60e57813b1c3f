"""The only place where kmon starts processes: the import path, the directory and the environment that each is given.

kmon is started in cloned projects, so the current directory is hostile: a file ``json.py`` in it must not become code
of a process that is given keys. Every interpreter therefore starts with ``-P``, in the root directory, with an import
path of absolute entries that the current directory is not part of. No process gets more environment than it needs: what
is not on a list here is left out, so a variable that kmon does not know cannot carry a key.

A program that the user wraps (:func:`wrapped`) is the one exception: it is the user's own command, run where and as the
user would have run it.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

from kmon import log
from kmon.parent_death import before_exec, stepping_stone

SAFE_DIRECTORY = os.sep
"""Where kmon's own processes work: nobody but the system writes there."""

_ANY = frozenset({
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT",
})  # fmt: skip
_INTERPRETER = frozenset({
    "VIRTUAL_ENV", "PYTHONHOME", "PYTHONUTF8", "PYTHONIOENCODING", "PYTHONCOERCECLOCALE", "PYTHONWARNINGS",
    "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "PYTHONNOUSERSITE", "PYTHONUSERBASE", "PYTHONHASHSEED",
    "PYTHONASYNCIODEBUG", "PYTHONDEVMODE", "PYTHONFAULTHANDLER", "PYTHONMALLOC", "LD_LIBRARY_PATH", "LD_PRELOAD",
    "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH", "DYLD_FRAMEWORK_PATH",
})  # fmt: skip
_DIRECTORIES = frozenset({
    "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR",
})  # fmt: skip
_FILES = frozenset({
    "SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE", "AWS_CA_BUNDLE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AWS_LOGIN_CACHE_DIRECTORY",
})  # fmt: skip
"""Variables that name a file; a relative name is made absolute, since the child works elsewhere."""
_NETWORK = frozenset({
    "RES_OPTIONS", "LOCALDOMAIN", "HOSTALIASES", "KMON_DEBUG", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_REGION",
    "AWS_DEFAULT_REGION", "AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME", "AWS_STS_REGIONAL_ENDPOINTS", "AWS_SDK_LOAD_CONFIG",
    "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL_SSO",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "AWS_EC2_METADATA_V1_DISABLED",
    "AWS_METADATA_SERVICE_TIMEOUT", "AWS_METADATA_SERVICE_NUM_ATTEMPTS", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
})  # fmt: skip
"""What the resolver and the AWS client of the process that measures need, none of it a key."""
_DESKTOP = frozenset({"DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "DBUS_SESSION_BUS_ADDRESS"})
"""What a program needs to show a notification."""
_BY_PIPE = frozenset({
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
})  # fmt: skip
"""What that process also needs and may hold a password: it is told by its pipe, since ``/proc`` shows environments."""


def told_by_pipe(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of ``environ`` that the measuring process is told after its start, by its pipe."""
    return {name: value for name, value in environ.items() if name in _BY_PIPE}


async def measuring(module: str, environ: Mapping[str, str]) -> Process:
    """Start ``python -m MODULE`` that opens connections and is given keys, by pipes, in a session of its own."""
    kept = _python(environ) | _of(environ, _NETWORK) | _absolute(environ, _FILES) | _absolute(environ, _DIRECTORIES)
    return await asyncio.create_subprocess_exec(
        *_interpreter(module),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        start_new_session=True,  # a Ctrl-C in the terminal is for its parent
        cwd=SAFE_DIRECTORY,
        env=kept | log.for_children() | {"PYTHONUNBUFFERED": "1"},
    )


def serving(
    module: str, arguments: Sequence[str], stderr: IO[bytes], environ: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start ``python -m MODULE ARGUMENTS`` that serves on loopback and has no use for keys."""
    return subprocess.Popen(
        [*_interpreter(module), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        start_new_session=True,  # a Ctrl-C in the terminal is for its parent
        cwd=SAFE_DIRECTORY,
        env=_python(environ) | log.for_children(),
    )


async def notifying(command: Sequence[str], environ: Mapping[str, str]) -> Process:
    """Start the user's program for an alert, in the user's home, where an interpreter finds no project's files.

    It is killed with this process (on Linux). Raises ``OSError``.
    """
    if shutil.which(command[0], path=environ.get("PATH")) is None:  # what is started is a step on the way to it
        number = errno.EACCES if os.path.exists(command[0]) else errno.ENOENT  # noqa: PTH110, ASYNC240 - one look
        raise OSError(number, os.strerror(number))
    return await asyncio.create_subprocess_exec(
        *stepping_stone(signal.SIGKILL),
        *command,
        stdin=PIPE,
        stdout=DEVNULL,
        stderr=PIPE,
        start_new_session=True,  # its own children can be ended with it
        cwd=_home(environ),
        env=_of(environ, _ANY | _DESKTOP) | _absolute(environ, _DIRECTORIES),
    )


async def wrapped(command: Sequence[str], environ: Mapping[str, str]) -> Process:
    """Start the user's own command as the user would: in this directory, on this terminal, with all of ``environ``.

    Only loopback is added to what no proxy is asked for: what the command sends to kmon would otherwise go to the
    user's proxy in the clear, with its key. It gets SIGTERM when this process is killed (on Linux), which must have no
    other thread yet. Raises ``OSError`` and ``ValueError``.
    """
    return await asyncio.create_subprocess_exec(
        *command, env={**environ, **_direct_to_loopback(environ)}, preexec_fn=before_exec(signal.SIGTERM)
    )


def output_of(command: Sequence[str], limit_s: float, environ: Mapping[str, str]) -> str:
    """What a program of the system prints. Raises ``OSError`` and ``subprocess.SubprocessError``."""
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=limit_s,
        check=True,
        cwd=SAFE_DIRECTORY,
        env=_of(environ, _ANY),
    )
    return done.stdout


def import_path(entries: Iterable[str]) -> list[str]:
    """The entries of an import path that a child may have: absolute ones, and not the current directory.

    That comes in as ``""``, as ``.`` or by its full name, by ``python -m`` or by ``PYTHONPATH``.
    """
    try:
        here = os.path.realpath(Path.cwd())
    except FileNotFoundError:  # a directory that is gone holds nothing to import
        here = ""
    absolute = (entry for entry in entries if Path(entry).is_absolute())
    return [entry for entry in dict.fromkeys(absolute) if os.path.realpath(entry) != here]


def _interpreter(module: str) -> tuple[str, ...]:
    return (sys.executable, "-P", "-m", module)


def _python(environ: Mapping[str, str]) -> dict[str, str]:
    """What an interpreter needs so that it imports this very kmon, and nothing from the current directory."""
    here = str(Path(__file__).parents[1])
    installed = here in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))
    path = [*([] if installed else [here]), *import_path(environ.get("PYTHONPATH", "").split(os.pathsep))]
    kept = _of(environ, _ANY | _INTERPRETER)
    return kept | {"PYTHONPATH": os.pathsep.join(path)} if path else kept


def _direct_to_loopback(environ: Mapping[str, str]) -> dict[str, str]:
    said = ",".join(filter(None, (environ.get("NO_PROXY"), environ.get("no_proxy"), "127.0.0.1,localhost,::1")))
    hosts = ",".join(dict.fromkeys(host.strip() for host in said.split(",") if host.strip()))
    return {"NO_PROXY": hosts, "no_proxy": hosts}


def _home(environ: Mapping[str, str]) -> str:
    home = Path(environ.get("HOME", ""))
    return str(home) if home.is_absolute() and home.is_dir() else SAFE_DIRECTORY


def _of(environ: Mapping[str, str], names: frozenset[str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name in names or name.startswith("LC_")}


def _absolute(environ: Mapping[str, str], names: frozenset[str]) -> dict[str, str]:
    return {name: str(Path(value).absolute()) for name, value in environ.items() if name in names and value}
