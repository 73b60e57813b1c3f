"""The certificate authorities that this process trusts.

The front end checks them before it draws, and reads them for a webhook only, so httpx is imported on first use.
"""

from __future__ import annotations

import os
import ssl
from functools import cache
from pathlib import Path

from kmon.catalog.reading import UnreadableError, read_regular
from kmon.errors import UsageError

CERT_FILE = "SSL_CERT_FILE"
CERT_FILE_LIMIT_BYTES = 16 * 1024 * 1024


@cache
def authorities() -> ssl.SSLContext:
    """The TLS context with the authorities of SSL_CERT_FILE, or certifi's; read once per process (30 ms).

    Raises :class:`UsageError` if the file or directory that the environment names cannot be used.
    """
    import httpx

    named = os.environ.get(CERT_FILE)
    try:
        if named and read_regular(Path(named), CERT_FILE_LIMIT_BYTES) is None:  # a pipe or device might never end
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
    """Read the authorities now if the environment names a file, so that a bad file is reported before the screen."""
    if os.environ.get(CERT_FILE):
        authorities()
