"""The driver of the screen: the stream it draws on, job control, and a terminal that is closed."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from io import TextIOWrapper
from typing import TextIO, cast

from textual.app import App
from textual.driver import Driver
from textual.message import Message
from textual.worker import Worker, WorkerState

from kmon.logs import log
from kmon.process.interrupts import INTERRUPTED

_log = logging.getLogger(__name__)
HEARD_AFTER_TURNS = 4
"""Turns of the event loop after which a signal that arrived together with SIGCONT has been handled."""


class LeavingApp(App[None]):
    """An application that ends on signals and on the loss of its terminal, and that can be suspended."""

    leaving = False
    hang_up_limit_s = 10.0
    """Seconds after which the process is ended when its terminal was closed: it must not stay in the background."""
    failure = ""
    """What ended the screen, in a sentence, where that was an error of its own."""
    _lost = False

    def told_to_leave(self) -> None:
        """A signal or a closed terminal asks the application to end. Subclasses close what they have opened."""
        self.leaving = True

    def on_signal(self, number: int) -> None:
        """A signal that asks to end has arrived, maybe before anything was drawn."""
        if number == signal.SIGHUP:
            self.on_terminal_lost()
        else:
            self.told_to_leave()

    def on_terminal_lost(self) -> None:
        """End without depending on anything that still draws."""
        if self._lost:
            return
        self._lost = True
        let_go_of_lost_terminal()
        last_resort = threading.Timer(self.hang_up_limit_s, os._exit, (INTERRUPTED,))
        last_resort.daemon = True
        last_resort.start()
        self.told_to_leave()

    def _handle_exception(self, error: Exception) -> None:
        """Where Textual brings every error that ends the screen."""
        _log.error("the screen failed", exc_info=error)
        self.failure = self.failure or log.failed("the screen failed", error)
        super()._handle_exception(error)

    def _fatal_error(self) -> None:
        """End without Textual's picture of the error, which shows the values of variables."""
        self.bell()
        self._close_messages_no_wait()

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        if event.state is WorkerState.ERROR:
            _log.error("work beside the screen failed", exc_info=event.worker.error)

    def action_suspend_process(self) -> None:
        """Stop until the shell's ``fg``, with everything that the terminal runs beside kmon, as Ctrl-Z does."""
        if self._driver is not None and self._driver.can_suspend:
            os.kill(0, signal.SIGTSTP)


class TerminalLost(Message):
    """The terminal was closed."""


class TerminalRegained(Message):
    """The program continues after it was stopped: the screen must be drawn again."""


def driver_for(stdout_is_terminal: bool, stderr_is_terminal: bool) -> type[Driver] | None:
    """A driver that draws on stderr as Textual's own, or on stdout for ``kmon 2>err.log``, and outlives its terminal.

    None where Textual's own choice is right.
    """
    if sys.platform == "win32" or os.environ.get("TEXTUAL_DRIVER"):
        return None
    from textual.drivers.linux_driver import LinuxDriver

    drawn_on = sys.__stdout__ if stdout_is_terminal and not stderr_is_terminal else sys.__stderr__

    class TerminalDriver(LinuxDriver):
        def __init__(
            self, app: App[object], *, debug: bool = False, mouse: bool = True, size: tuple[int, int] | None = None
        ) -> None:
            super().__init__(app, debug=debug, mouse=mouse, size=size)
            assert drawn_on is not None
            self._file = cast(TextIOWrapper, LastingFile(drawn_on, self._lose))
            self._quiet = self.exit_event = QuietExit(self.fileno)
            self._drawing = False
            self._away = False
            """Whether the shell has the terminal: then nothing is written to it."""
            self._returning: asyncio.Task[None] | None = None
            # Textual's own handlers interrupt the main thread anywhere, even in a write.
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGTSTP, self._stop_for_now)
            loop.add_signal_handler(signal.SIGCONT, self._go_on)

        def start_application_mode(self) -> None:
            super().start_application_mode()  # type: ignore[no-untyped-call]
            self._drawing = True

        def stop_application_mode(self) -> None:
            self._drawing = False
            if not self._away:
                super().stop_application_mode()

        def disable_input(self) -> None:
            if not self._away:
                super().disable_input()

        def write(self, data: str) -> None:
            if not self._away:
                super().write(data)

        def _stop_for_now(self) -> None:
            """Ctrl-Z: restore the terminal, stop, and take it again on SIGCONT."""
            if self._drawing:
                self._leave()
            stop(signal.SIGTSTP)

        def _go_on(self) -> None:
            """SIGSTOP cannot be handled: restore the terminal now, so that its saved mode is not kmon's raw mode."""
            if self._drawing:
                self._leave()

        def _leave(self) -> None:
            if in_background(self.fileno):
                self.attrs_before = None  # the shell has set its own by now
            before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # else the next write would stop it again
            self.suspend_application_mode()
            signal.signal(signal.SIGTTOU, before)
            self._away = True
            self._returning = asyncio.create_task(self._return())

        async def _return(self) -> None:
            if await foreground(self.fileno, lambda: isinstance(self._app, LeavingApp) and self._app.leaving):
                self._away = False
                self.resume_application_mode()
                self._app.post_message(TerminalRegained())

        def _lose(self) -> None:
            let_go_of_lost_terminal()
            self._app.post_message(TerminalLost())

        def run_input_thread(self) -> None:
            self._quiet.reader = threading.get_ident()
            try:
                super().run_input_thread()
            except OSError:
                self._lose()

    return TerminalDriver


def stop(number: signal.Signals) -> None:
    """Stop as the default action of ``number``. Returns on SIGCONT; for SIGTSTP at once without job control."""
    heard = {heard: signal.signal(heard, signal.SIG_DFL) for heard in {number, signal.SIGCONT} - {signal.SIGSTOP}}
    signal.pthread_kill(threading.get_ident(), number)  # this very thread, so that it is stopped here and not later
    for name, handler in heard.items():
        signal.signal(name, handler)


def in_background(terminal: int) -> bool:
    """Whether another program has the terminal, as after the shell's ``bg``."""
    try:
        return os.tcgetpgrp(terminal) != os.getpgrp()
    except OSError:  # no terminal, or not the one that controls this process
        return False


async def foreground(terminal: int, leaving: Callable[[], bool]) -> bool:
    """Stay stopped while another program has the terminal; False when ``leaving`` was to end that."""
    while True:
        for _ in range(HEARD_AFTER_TURNS):
            await asyncio.sleep(0)
        if leaving() or not in_background(terminal):
            return not leaving()
        stop(signal.SIGSTOP)


class QuietExit(threading.Event):
    """Ends the thread that reads keys, and lets it sleep until a key arrives.

    Textual's thread polls ten times a second whether to end, which cost 0.5 % of an idle core. Polling is needed only
    for a moment after a key: the end of an escape sequence may be recognised by time alone.
    """

    AWAKE_S = 1.0

    def __init__(self, keys: int) -> None:
        super().__init__()
        self.reader: int | None = None
        """The only thread that may sleep in :meth:`is_set`."""
        self._keys = keys
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC) if sys.platform == "linux" else None
        self._awake_until_s = 0.0

    def set(self) -> None:
        super().set()
        if self._wake is not None:
            os.eventfd_write(self._wake, 1)

    def clear(self) -> None:
        super().clear()
        if self._wake is not None:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._wake)

    def is_set(self) -> bool:
        """Called by that thread before it waits 0.1 s for keys."""
        if threading.get_ident() == self.reader and time.monotonic() > self._awake_until_s:
            self._sleep()
        return super().is_set()

    def _sleep(self) -> None:
        if self._wake is not None and not super().is_set():
            waiting = select.poll()
            waiting.register(self._keys, select.POLLIN)
            waiting.register(self._wake, select.POLLIN)
            waiting.poll()
            self._awake_until_s = time.monotonic() + self.AWAKE_S


class LastingFile:
    """A file that ignores writes to a closed terminal; ``lose`` is called instead of an error.

    Textual's writer thread would end with the error, and the next write would wait for it without limit.
    """

    def __init__(self, file: TextIO, lose: Callable[[], None]) -> None:
        self._file, self._lose = file, lose

    def write(self, text: str) -> None:
        try:
            self._file.write(text)
        except OSError:
            self._lose()

    def flush(self) -> None:
        try:
            self._file.flush()
        except OSError:
            self._lose()

    def fileno(self) -> int:
        return self._file.fileno()


def let_go_of_lost_terminal() -> None:
    """Point stdin, stdout and stderr at the null device where they lead to a terminal that is gone."""
    import termios

    for stream in (0, 1, 2):
        try:
            termios.tcgetattr(stream)
        except termios.error as error:
            if error.args[0] == errno.EIO:  # the error of a closed terminal; a file or a pipe gives ENOTTY
                null = os.open(os.devnull, os.O_RDWR)
                os.dup2(null, stream)
                os.close(null)
