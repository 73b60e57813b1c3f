"""The header fields of an HTTP/1.1 request, read so strictly that no other reader can understand them otherwise.

What two readers read differently is how a request is smuggled past one of them (RFC 9112, section 11.2). Clients never
write such fields; nothing is lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
LINE_BREAKER = re.compile(rb"[\x00\r\n]")
"""What some reader takes for the end of a line, or of the text; other control characters are only strange."""


class FieldError(ValueError):
    """A line of a request's head that is no header field; the text says why."""


def request_fields(lines: Iterable[bytes]) -> dict[str, str]:
    """The fields of ``lines``, each without its CRLF. Names are lower case; values of a repeated name are joined.

    Raises :class:`FieldError` for a line that is folded, has a NUL, a bare CR or LF, no colon, or a name that is none.
    """
    fields: dict[str, str] = {}
    for line in lines:
        if line[:1] in (b" ", b"\t"):
            raise FieldError("a header that goes on in the next line: write it in one")
        if LINE_BREAKER.search(line):
            raise FieldError("a header with a NUL in it, or a line that does not end in CRLF")
        name, colon, value = line.partition(b":")
        if not colon or not _NAME.match(name):
            raise FieldError("a malformed header line: it must be a name, a colon and a value")
        key, said = name.lower().decode("ascii"), value.strip(b" \t").decode("latin-1")
        fields[key] = f"{fields[key]}, {said}" if key in fields else said
    return fields
