"""Zip archives of recordings: Fiddler's sessions (``.saz``), Playwright's HAR with its bodies, and files put together.

Every file in one is bounded in size, and so are all of them together.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib

from kmon.recording.compression import EXPANDED_LIMIT_BYTES

MAGIC = b"PK\x03\x04"
FILES_LIMIT = 2000
_FIDDLER = re.compile(r"raw/(\d+)_([cs])\.txt\Z")


def files_of(data: bytes) -> dict[str, bytes]:
    """The files in an archive by name. Raises ``ValueError`` with a sentence if it cannot be read."""
    found: dict[str, bytes] = {}
    left = EXPANDED_LIMIT_BYTES
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for info in archive.infolist()[:FILES_LIMIT]:
                if info.is_dir():
                    continue
                if info.flag_bits & 1:
                    raise ValueError("it is a zip archive with a password; unpack it")
                with archive.open(info) as file:
                    content = file.read(left + 1)
                left -= len(content)
                if left < 0:
                    raise ValueError(f"the archive expands to more than {EXPANDED_LIMIT_BYTES // 2**20} MiB")
                found[info.filename] = content
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, OSError, RuntimeError):
        raise ValueError("it begins like a zip archive, and is damaged; save it again") from None
    return found


def sessions_of(files: dict[str, bytes]) -> bytes:
    """The exchanges of Fiddler's archive as HTTP/1 text, one after the other; empty if it is another one."""
    sides = {(int(found[1]), found[2]): name for name in files if (found := _FIDDLER.search(name))}
    return b"\r\n".join(files[sides[place]] for place in sorted(sides))
