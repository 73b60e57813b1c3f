"""An attempt over HTTP: sends the request and decodes the stream into recorded deltas."""

from __future__ import annotations

import asyncio
import time

from kmon.dialects.delta import StreamError
from kmon.dialects.dialect import Decoder
from kmon.dialects.framing import EVENT_STREAM_TYPE, SSE_TYPE
from kmon.dialects.http_answer import answer_error, is_stream, may_stream
from kmon.dialects.one_answer import OneAnswer
from kmon.dialects.registry import http_dialect
from kmon.probe.attempt import Attempt
from kmon.probe.recorder import coalesced
from kmon.probe.send import open_exchange, url_of
from kmon.transport.http import ERROR_BODY_LIMIT_BYTES, ERROR_BODY_WAIT_S, WHOLE_BODY_LIMIT_BYTES, Answer

YIELD_EVERY_DELTAS = 200
OF_STREAMS = (SSE_TYPE, EVENT_STREAM_TYPE)
"""Media types of an answer that is streamed although it was not asked for so."""


class HttpAttempt(Attempt):
    """One request and its streamed response over HTTP."""

    def prepare(self) -> None:
        self._wire = http_dialect(self._target.dialect)
        self._request = self._wire.request(self._target, self._scenario, self._messages)
        if not self._scenario.stream:
            self._request = self._wire.unstreamed(self._request)

    def url(self) -> str:
        return url_of(self._target, self._request, self._credential)

    async def exchange(self) -> StreamError | None:
        async with open_exchange(
            self._target,
            self._request,
            credential=self._credential,
            shared=self._shared,
            on_phase=self._on_phase,
            on_sampler=self._recorder.stalls.on_sampler,
            connect_timeout_s=self._limits.connect_timeout_s,
        ) as answer:
            self._recorder.headers(answer.headers_ns, answer.status, answer.headers, answer.content_type)
            if not self._scenario.stream and may_stream(answer.status) and answer.content_type not in OF_STREAMS:
                return await self._read_whole(answer)
            if not await self._streams(answer):
                left_s = self._total_deadline_s - asyncio.get_running_loop().time()
                body = await answer.body(ERROR_BODY_LIMIT_BYTES, min(ERROR_BODY_WAIT_S, left_s * 0.9))
                response = (answer.status, answer.content_type, answer.headers, body)
                return answer_error(*response, spoken=self._wire, code=answer.error_code)
            await self._read(answer, OneAnswer(self._wire))
        return self.transcript.error

    async def _streams(self, answer: Answer) -> bool:
        """Whether the answer is a stream, by its head or else by how its body begins."""
        if is_stream(answer.status, answer.content_type, self._wire.media_types):
            return True
        return may_stream(answer.status) and self._wire.begins(await answer.beginning())

    async def _read_whole(self, answer: Answer) -> StreamError | None:
        """Read an answer that was asked for in one piece: it is one chunk, which arrives with its last byte."""
        body = bytearray()
        t_ns = time.monotonic_ns()
        async for t_ns, data in answer.reads():
            body += data
            if len(body) > WHOLE_BODY_LIMIT_BYTES:
                return StreamError("protocol", f"the answer is larger than {WHOLE_BODY_LIMIT_BYTES} bytes")
            self._recorder.bytes(t_ns, len(data))
        delta = self._wire.whole_answer(bytes(body))
        if delta is None:
            return StreamError("protocol", "the answer is not one whole JSON object")
        self._record(t_ns, delta)
        return self.transcript.error

    async def _read(self, answer: Answer, decoder: Decoder) -> None:
        async for t_ns, data in answer.reads():
            deltas = coalesced(decoder.feed(data))
            if not deltas:
                self._recorder.bytes(t_ns, len(data))
            for i, delta in enumerate(deltas):
                ended = self.timeline.t_done is not None
                progress = self._record(t_ns, delta)
                if not ended:  # what is told after the end does not prolong the wait for it
                    self._shorten(progress=progress)
                if i % YIELD_EVERY_DELTAS == YIELD_EVERY_DELTAS - 1:
                    await asyncio.sleep(0)  # a fast stream must not block the others
            if self._wire.final and self.timeline.t_done is not None:
                return
        for delta in decoder.end():
            self._record(time.monotonic_ns(), delta)
