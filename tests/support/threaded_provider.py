"""A provider in a thread, for programs under test that run in another process."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
from collections.abc import Iterator

from tests.support.loopback import END, HEAD, chunked


def chunk(text: str, finish: str | None = None) -> bytes:
    """One chat chunk in an HTTP chunk."""
    value = {"id": "c", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]}
    return chunked(b"data: " + json.dumps(value).encode() + b"\n\n")


class Provider:
    """Answers every request with ``parts``; keeps the connection open at the end when ``hold``."""

    def __init__(self, parts: list[bytes], *, hold: bool) -> None:
        self.requests: list[bytes] = []
        self.closed = threading.Event()
        """Set when a client closed a connection that was held."""
        self._parts, self._hold = parts, hold
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            self.requests.append(_whole_request(connection))
            for part in [HEAD, *self._parts]:
                connection.sendall(part)
            if self._hold:
                while connection.recv(4096):
                    pass
            else:
                connection.sendall(END)
        if self._hold:
            self.closed.set()

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def _whole_request(connection: socket.socket) -> bytes:
    """Head and body: closing a socket with unread bytes would reset it."""
    request = b""
    while b"\r\n\r\n" not in request:
        request += connection.recv(65536)
    head, _, body = request.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    while length and len(body) < int(length[1]):
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


@contextlib.contextmanager
def provider(*parts: bytes, hold: bool = False) -> Iterator[Provider]:
    """A running provider."""
    serving = Provider(list(parts), hold=hold)
    thread = threading.Thread(target=serving.serve, daemon=True)
    thread.start()
    try:
        yield serving
    finally:
        serving.stop()
        thread.join(5)
