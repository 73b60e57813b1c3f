"""Starts every process that kmon starts, and sets its import path, working directory and environment.

kmon is started in cloned projects, so the current directory is hostile: a file ``json.py`` in it must not run in a
process that gets keys. Every interpreter therefore starts with ``-P``, in the root directory, with an import path of
absolute entries without the current directory. Each process gets only the environment variables on the lists below, so
a variable that kmon does not know cannot carry a key.

A program that the user wraps (:func:`wrapped`) is the one exception: it is the user's own command, and it runs as the
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

from kmon.process.parent_death import before_exec, stepping_stone

SAFE_DIRECTORY = os.sep
"""Working directory of kmon's own processes: users cannot write there."""

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
"""What the resolver and the AWS client of the measuring process need. None of these holds a key."""
_DESKTOP = frozenset({"DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "DBUS_SESSION_BUS_ADDRESS"})
"""What a program needs to show a notification."""
_BY_PIPE = frozenset({
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
})  # fmt: skip
"""Also needed by the measuring process, but may hold a password: sent by pipe, since ``/proc`` shows environments."""


def sent_by_pipe(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of ``environ`` that the measuring process gets by its pipe, after its start."""
    return {name: value for name, value in environ.items() if name in _BY_PIPE}


async def measuring(module: str, environ: Mapping[str, str], added: Mapping[str, str]) -> Process:
    """Start ``python -m MODULE``, which opens connections and gets keys by its pipe, in its own session.

    ``added`` are variables that it gets besides those of ``environ`` that are on the lists.
    """
    kept = _python(environ) | _of(environ, _NETWORK) | _absolute(environ, _FILES) | _absolute(environ, _DIRECTORIES)
    return await asyncio.create_subprocess_exec(
        *_interpreter(module),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        start_new_session=True,  # a Ctrl-C in the terminal is for its parent
        cwd=SAFE_DIRECTORY,
        env=kept | dict(added) | {"PYTHONUNBUFFERED": "1"},
    )


def serving(
    module: str, arguments: Sequence[str], stderr: IO[bytes], environ: Mapping[str, str], added: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start ``python -m MODULE ARGUMENTS``, a server on loopback that needs no keys; ``added`` as for ``measuring``."""
    return subprocess.Popen(
        [*_interpreter(module), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        start_new_session=True,  # a Ctrl-C in the terminal is for its parent
        cwd=SAFE_DIRECTORY,
        env=_python(environ) | dict(added),
    )


async def notifying(command: Sequence[str], environ: Mapping[str, str]) -> Process:
    """Start the user's program for an alert, in the user's home directory: no project's files are imported there.

    On Linux it is killed when this process ends. Raises ``OSError``.
    """
    if shutil.which(command[0], path=environ.get("PATH")) is None:  # the stepping stone starts in any case, so look now
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

    Only loopback is added to NO_PROXY: requests of the command to kmon would otherwise go to the user's proxy
    unencrypted, with the key. On Linux the command gets SIGTERM when this process is killed; therefore this process
    must have no other thread yet. Raises ``OSError`` and ``ValueError``.
    """
    return await asyncio.create_subprocess_exec(
        *command, env={**environ, **_direct_to_loopback(environ)}, preexec_fn=before_exec(signal.SIGTERM)
    )


def output_of(command: Sequence[str], limit_s: float, environ: Mapping[str, str]) -> str:
    """What a system program prints; killed after ``limit_s``. Raises ``OSError`` and ``subprocess.SubprocessError``."""
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
    """The entries of an import path that a child may have: absolute ones except the current directory.

    The current directory may be written ``""``, ``.`` or in full; ``python -m`` and ``PYTHONPATH`` add it.
    """
    try:
        here = os.path.realpath(Path.cwd())
    except FileNotFoundError:  # the directory was deleted, so nothing can be imported from it
        here = ""
    absolute = (entry for entry in entries if Path(entry).is_absolute())
    return [entry for entry in dict.fromkeys(absolute) if os.path.realpath(entry) != here]


def _interpreter(module: str) -> tuple[str, ...]:
    return (sys.executable, "-P", "-m", module)


def _python(environ: Mapping[str, str]) -> dict[str, str]:
    """An interpreter's environment: it imports this installation of kmon, and nothing from the current directory."""
    here = str(Path(__file__).parents[2])
    installed = here in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))
    path = [*([] if installed else [here]), *import_path(environ.get("PYTHONPATH", "").split(os.pathsep))]
    kept = _of(environ, _ANY | _INTERPRETER)
    return kept | {"PYTHONPATH": os.pathsep.join(path)} if path else kept


def _direct_to_loopback(environ: Mapping[str, str]) -> dict[str, str]:
    listed = ",".join(filter(None, (environ.get("NO_PROXY"), environ.get("no_proxy"), "127.0.0.1,localhost,::1")))
    hosts = ",".join(dict.fromkeys(host.strip() for host in listed.split(",") if host.strip()))
    return {"NO_PROXY": hosts, "no_proxy": hosts}


def _home(environ: Mapping[str, str]) -> str:
    home = Path(environ.get("HOME", ""))
    return str(home) if home.is_absolute() and home.is_dir() else SAFE_DIRECTORY


def _of(environ: Mapping[str, str], names: frozenset[str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name in names or name.startswith("LC_")}


def _absolute(environ: Mapping[str, str], names: frozenset[str]) -> dict[str, str]:
    return {name: str(Path(value).absolute()) for name, value in environ.items() if name in names and value}
