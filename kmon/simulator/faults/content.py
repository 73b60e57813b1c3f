"""Faults of the words and tool calls in an answer, and healthy answers that look like them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Annotated, ClassVar

from msgspec import Meta
from msgspec.structs import replace

from kmon.simulator.answers import ModelAnswer, Piece, reasoning, tokens
from kmon.simulator.faults.base import TOOL_FINISH, TOOL_PIECES, TOOL_TEXT, TOOLS, Fault
from kmon.simulator.request import ChatMessage, ChatRequest
from kmon.simulator.wire import Trait

Count = Annotated[int, Meta(ge=1, le=100_000)]
LOOPED = " The user wants me to check the file again. Let me check the file again."
TABLE_ROWS = 24
SENTENCES = "A river begins as a thread of water. It gathers rain and the seep of springs."


class _Words(Fault, frozen=True):
    """A fault of the answer, streamed or not."""

    streams_only: ClassVar[bool] = False


def _text(text: str) -> tuple[Piece, ...]:
    return tuple(Piece("text", token) for token in tokens(text))


def _with_arguments(answer: ModelAnswer, change: Callable[[str], Iterable[str]]) -> ModelAnswer:
    """The answer with the arguments of each call replaced by the pieces that ``change`` returns for them."""
    pieces: list[Piece] = []
    for block in answer.blocks:
        if block[0].kind == "tool-start":
            arguments = "".join(piece.text for piece in block[1:])
            pieces += [block[0], *(Piece("tool", text) for text in change(arguments))]
        else:
            pieces += block
    return replace(answer, pieces=tuple(pieces))


class EmptyAnswer(Fault, frozen=True, tag="empty-answer"):
    """The beginning and the end of an answer without content."""

    streams_only: ClassVar[bool] = False

    def answer(self, answer: ModelAnswer) -> ModelAnswer:
        return ModelAnswer(())


class OnlyReasoning(Fault, frozen=True, tag="only-reasoning"):
    """Reasoning up to the token limit, and no answer."""

    streams_only: ClassVar[bool] = False
    reasoning_tokens: Annotated[int, Meta(ge=1, le=100_000)] = 300

    def answer(self, answer: ModelAnswer) -> ModelAnswer:
        return ModelAnswer(tuple(reasoning(self.reasoning_tokens)), "length")


class EndlessReasoning(_Words, frozen=True, tag="endless-reasoning"):
    """Reasoning without repetition that takes longer than usual timeouts."""

    reasoning_tokens: Count = 8_000

    def answer(self, answer: ModelAnswer) -> ModelAnswer:
        return ModelAnswer(tuple(reasoning(self.reasoning_tokens)), "length")


class LongReasoning(_Words, frozen=True, tag="long-reasoning"):
    """Healthy: long reasoning, then the answer."""

    healthy: ClassVar[bool] = True
    reasoning_tokens: Count = 400

    def answer(self, answer: ModelAnswer) -> ModelAnswer:
        return replace(answer, pieces=(*reasoning(self.reasoning_tokens), *answer.pieces))


class OneWord(_Words, frozen=True, tag="one-word"):
    """Healthy: an answer of one word."""

    healthy: ClassVar[bool] = True

    def answer(self, answer: ModelAnswer) -> ModelAnswer:
        return replace(answer, pieces=_text("Yes."), finish="stop")


class RepetitionLoop(_Words, frozen=True, tag="repetition-loop"):
    """Some tokens, then the same words up to the token limit."""

    after_tokens: Count = 40
    times: Count = 20

    def answer(self, answer: ModelAnswer) -> ModelAnswer:
        return replace(
            answer, pieces=(*answer.pieces[: self.after_tokens], *_text(LOOPED * self.times)), finish="length"
        )


class RepetitiveTable(_Words, frozen=True, tag="repetitive-table"):
    """Healthy: a ruler and a table of similar rows."""

    healthy: ClassVar[bool] = True

    def answer(self, answer: ModelAnswer) -> ModelAnswer:
        rows = "".join(f"| item {n} | not available | {n * 7 % 10} |\n" for n in range(TABLE_ROWS))
        table = f"{'-' * 80}\n| name | state | count |\n|---|---|---|\n{rows}{'-' * 80}\n"
        return replace(answer, pieces=_text(table), finish="stop")


class TextUnfinished(_Words, frozen=True, tag="text-unfinished"):
    """The text stops in a sentence, with finish reason stop."""

    def answer(self, answer: ModelAnswer) -> ModelAnswer:
        return replace(answer, pieces=_text(f"{SENTENCES} Near the sea it slows down and"), finish="stop")


class NoFullStop(_Words, frozen=True, tag="no-full-stop"):
    """Healthy: the last sentence has no full stop."""

    healthy: ClassVar[bool] = True

    def answer(self, answer: ModelAnswer) -> ModelAnswer:
        return replace(answer, pieces=_text(f"{SENTENCES} That is what the sand was waiting for"), finish="stop")


class ThinkingInText(_Words, frozen=True, tag="thinking-in-text"):
    """The thinking comes as text, between its tags."""

    def answer(self, answer: ModelAnswer) -> ModelAnswer:
        thought = _text("<think>\nThe user wants a few words about this.\n</think>\n\n")
        return replace(answer, pieces=(*thought, *answer.pieces))


class GarbledText(_Words, frozen=True, tag="garbled-text"):
    """Some characters could not be decoded, others were read in a wrong encoding."""

    def answer(self, answer: ModelAnswer) -> ModelAnswer:
        return replace(answer, pieces=(*_text("The cafÃ© in T\ufffd\ufffdky\ufffd\ufffd is open. "), *answer.pieces))


class ManyScripts(_Words, frozen=True, tag="many-scripts"):
    """Healthy: accents, signs, other scripts, emoji, and one replacement character."""

    healthy: ClassVar[bool] = True

    def answer(self, answer: ModelAnswer) -> ModelAnswer:
        text = "O PÃO É BOM. À 22 °C, 東京 ☀️ 👨‍👩‍👧‍👦, Ελλάδα, «Москва», עברית; U+FFFD looks like this: \ufffd."
        return replace(answer, pieces=_text(text), finish="stop")


class WhitespaceFlood(_Words, frozen=True, tag="whitespace-flood"):
    """A structured answer that goes on in white space up to the token limit."""

    times: Count = 300

    def answer(self, answer: ModelAnswer) -> ModelAnswer:
        return replace(answer, pieces=_text('{"city": "Tokyo",' + "\n \t" * self.times), finish="length")


class DeepIndentation(_Words, frozen=True, tag="deep-indentation"):
    """Healthy: code that is indented by 100 blanks, and empty lines."""

    healthy: ClassVar[bool] = True

    def answer(self, answer: ModelAnswer) -> ModelAnswer:
        lines = "".join(f"{' ' * 100}call_{number}()\n\n\n" for number in range(20))
        return replace(answer, pieces=_text(f"```\n{lines}```\n"), finish="stop")


class TalksAboutErrors(_Words, frozen=True, tag="talks-about-errors"):
    """Healthy: an answer whose text quotes an error."""

    healthy: ClassVar[bool] = True

    def answer(self, answer: ModelAnswer) -> ModelAnswer:
        text = 'The log says data: {"error": {"message": "overloaded", "code": 503}} and then [DONE]; retry later.'
        return replace(answer, pieces=_text(text), finish="stop")


class TalksAboutMarkers(_Words, frozen=True, tag="talks-about-markers"):
    """Healthy: an answer that quotes the markup of tool calls as code."""

    healthy: ClassVar[bool] = True

    def answer(self, answer: ModelAnswer) -> ModelAnswer:
        text = (
            "Kimi writes `<|tool_calls_section_begin|>` first:\n```\n<|tool_call_begin|>f:0\n```\n"
            'Hermes wraps a call in <tool_call> tags, Llama begins with "<|python_tag|>", and the <think> tag is R1\'s.'
        )
        return replace(answer, pieces=_text(text), finish="stop")


class ToolCallLoop(Fault, frozen=True, tag="tool-call-loop"):
    """The same call in each turn, as by a model that does not see the results of its tools."""

    streams_only: ClassVar[bool] = False
    needs: ClassVar[frozenset[Trait]] = TOOLS

    def request(self, request: ChatRequest) -> ChatRequest:
        before: list[ChatMessage] = []
        for message in request.messages:
            if message.role == "assistant" and message.tool_calls:
                break
            before.append(message)
        return replace(request, messages=before or request.messages)


class ToolArgumentsCut(_Words, frozen=True, tag="tool-arguments-cut"):
    """The arguments of each call stop in their middle; the finish reason is still tool_calls."""

    needs: ClassVar[frozenset[Trait]] = TOOL_TEXT

    def answer(self, answer: ModelAnswer) -> ModelAnswer:
        return _with_arguments(answer, lambda arguments: tokens(arguments[: len(arguments) // 2]))


class ToolArgumentsInvalid(_Words, frozen=True, tag="tool-arguments-invalid"):
    """The arguments of each call as a Python literal instead of JSON."""

    needs: ClassVar[frozenset[Trait]] = TOOL_TEXT

    def answer(self, answer: ModelAnswer) -> ModelAnswer:
        return _with_arguments(answer, lambda arguments: tokens(repr(json.loads(arguments))))


class ToolArgumentsMisfit(_Words, frozen=True, tag="tool-arguments-misfit"):
    """The arguments of each call are JSON, but each value is a list."""

    needs: ClassVar[frozenset[Trait]] = TOOLS

    def answer(self, answer: ModelAnswer) -> ModelAnswer:
        return _with_arguments(answer, lambda arguments: tokens(json.dumps({k: [[]] for k in json.loads(arguments)})))


class ToolArgumentsSpaced(_Words, frozen=True, tag="tool-arguments-spaced"):
    """Healthy: arguments with line breaks and blanks around them."""

    healthy: ClassVar[bool] = True
    needs: ClassVar[frozenset[Trait]] = TOOL_PIECES

    def answer(self, answer: ModelAnswer) -> ModelAnswer:
        return _with_arguments(
            answer, lambda arguments: tokens("\n " + json.dumps(json.loads(arguments), indent=2) + " \n")
        )


class ToolNotOffered(_Words, frozen=True, tag="tool-not-offered"):
    """Each call names a tool that the request does not offer."""

    needs: ClassVar[frozenset[Trait]] = TOOLS

    def answer(self, answer: ModelAnswer) -> ModelAnswer:
        return replace(
            answer,
            pieces=tuple(replace(p, text=f"{p.text}_v2") if p.kind == "tool-start" else p for p in answer.pieces),
        )


class ToolMarkersLeaked(_Words, frozen=True, tag="tool-markers-leaked"):
    """Each call arrives as text in Kimi's own markup, with finish reason stop."""

    needs: ClassVar[frozenset[Trait]] = TOOLS

    def answer(self, answer: ModelAnswer) -> ModelAnswer:
        pieces = tuple(piece for piece in answer.pieces if piece.kind in ("reasoning", "text"))
        called = "".join(
            f"<|tool_call_begin|>functions.{name}:{number}<|tool_call_argument_begin|>{arguments}<|tool_call_end|>"
            for number, (name, arguments) in enumerate(answer.calls)
        )
        leaked = _text(f"<|tool_calls_section_begin|>{called}<|tool_calls_section_end|>") if called else ()
        return replace(answer, pieces=(*pieces, *leaked), finish="stop")


class FinishMismatch(_Words, frozen=True, tag="finish-mismatch"):
    """The finish reason is tool_calls, and there are no calls."""

    needs: ClassVar[frozenset[Trait]] = TOOL_FINISH

    def answer(self, answer: ModelAnswer) -> ModelAnswer:
        words = tuple(piece for piece in answer.pieces if piece.kind in ("reasoning", "text"))
        return replace(answer, pieces=words, finish="tool_calls")


class StopAfterToolCall(_Words, frozen=True, tag="stop-after-tool-call"):
    """Healthy: tool calls with finish reason stop, as many servers send them."""

    healthy: ClassVar[bool] = True
    needs: ClassVar[frozenset[Trait]] = TOOL_FINISH

    def answer(self, answer: ModelAnswer) -> ModelAnswer:
        return replace(answer, finish="stop")
