"""A wait that can be cut short, or called off."""

from __future__ import annotations

import asyncio


class Pause:
    """One wait at a time. ``hurry`` ends it now, ``call_off`` ends it for good."""

    def __init__(self) -> None:
        self._waiting: asyncio.Future[bool] | None = None

    @property
    def open(self) -> bool:
        return self._waiting is not None and not self._waiting.done()

    async def sit_out(self, delay_s: float) -> bool:
        """Wait; False when it was called off."""
        if not delay_s:
            return True
        self._waiting = asyncio.get_running_loop().create_future()
        done, _ = await asyncio.wait([self._waiting], timeout=delay_s)
        going_on = self._waiting.result() if done else True
        self._waiting = None
        return going_on

    def hurry(self) -> None:
        self._settle(True)

    def call_off(self) -> None:
        self._settle(False)

    def _settle(self, going_on: bool) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(going_on)
