"""What all attempts of a race share on the network: whom to trust, who is watching, and clients costly to make."""

from __future__ import annotations

import asyncio
import codecs
import os
import ssl
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import anyio
import httpx

from kmon.blame.local_monitor import LocalMonitor
from kmon.catalog.errors import UsageError
from kmon.catalog.reading import UnreadableError, read_regular

if TYPE_CHECKING:
    from kmon.transport.bedrock import Bedrock


CERT_FILE = "SSL_CERT_FILE"
CERT_FILE_LIMIT_BYTES = 16 * 1024 * 1024


class Place(NamedTuple):
    """Where requests to an AWS service go."""

    region: str
    endpoint_url: str | None
    """None for the endpoint that botocore finds for the region."""
    placeholder: bool
    """Whether a request without a credential is signed with invented keys."""


@cache
def authorities() -> ssl.SSLContext:
    """Whom kmon trusts. Read once per process (30 ms of work); nothing of it belongs to one race.

    Raises :class:`UsageError` if the file or directory that the environment names cannot be used.
    """
    named = os.environ.get(CERT_FILE)
    try:
        if named and read_regular(Path(named), CERT_FILE_LIMIT_BYTES) is None:  # a pipe or device would never end
            raise UnreadableError("there is no such file")
        return httpx.create_ssl_context()
    except UnreadableError as error:
        why = str(error)
    except ssl.SSLError:
        why = "it holds no certificates"
    except OSError as error:
        why = error.strerror or "it cannot be opened"
    raise UsageError(f"cannot read the authorities in {named or 'the certifi package'}: {why}; set {CERT_FILE} anew")


def check_authorities() -> None:
    """Read whom to trust now if the environment says so: one it misnames is said before anything is shown."""
    if os.environ.get(CERT_FILE):
        authorities()


class Network:
    """One per race, made on its event loop. ``bedrock`` imports aiobotocore when it is first used."""

    def __init__(self) -> None:
        self.ssl_context = authorities()
        self.machine = LocalMonitor()
        # which every look-up of a name needs: loading it needs a file, and all may be in use then
        codecs.lookup("idna")
        self.busy = asyncio.Event()
        """Set while anything is measured; without that, the witnesses rest."""
        anyio.Lock()  # loads what httpcore would otherwise load inside the first attempt: 60 to 90 ms, measured

    @cached_property
    def bedrock(self) -> Bedrock:
        from kmon.transport.bedrock import Bedrock

        return Bedrock(self.ssl_context)
