"""Promises about what is said of an answer's content: faults are named, and what merely looks like one is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmon.dialects.assemble import Transcript
from kmon.dialects.delta import Delta, ServerTool, StreamError, ToolFragment, Usage
from kmon.dialects.dialect import FinishWords, ends_elsewhere
from kmon.dialects.messages import Messages
from kmon.findings.chunk_stats import ChunkStats
from kmon.findings.content import RequestFacts, content_finding
from kmon.findings.repetition import loop_at_end, passage_sent_twice
from kmon.findings.signature import EndedAttempt, decide
from kmon.model import Tool
from kmon.stream.timeline import Timeline

WEATHER = Tool(
    name="get_weather",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
ASKED = RequestFacts("moonshotai/Kimi-K2.6", (WEATHER,), "What is the weather?", wants_usage=True)
STOP = Delta(finish_reason="stop")
CALLED = Delta(finish_reason="tool_calls")
DONE = Delta(done=True, chunk=False)


def call(arguments: str, name: str = "get_weather", call_id: str = "c1") -> Delta:
    return Delta(tools=(ToolFragment(0, call_id, name, arguments),))


def found(*deltas: Delta, request: RequestFacts = ASKED) -> str | None:
    said, seen = Transcript(), ChunkStats()
    for number, delta in enumerate((*deltas, DONE)):
        said.add(delta)
        seen.add(number * 1_000_000, delta, progress=delta.progress)
    finding = content_finding(request, said, seen)
    return None if finding is None else finding.name


def words(text: str) -> list[Delta]:
    return [Delta(text=f"{word} ") for word in text.split(" ")]


PROSE = " ".join(f"word{n} of the {n}th kind" for n in range(60))


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ('{"city": "Tokyo"}', None),
        (' \n{"city":\n"Tokyo"} ', None),
        ('{"city": "To', "tool-arguments-unfinished"),
        ('{"city": ', "tool-arguments-unfinished"),
        ("{'city': 'Tokyo'}", "tool-arguments-invalid"),
        ('"Tokyo"', "tool-arguments-invalid"),
        ('{"city": 3}', "tool-arguments-misfit"),
        ("", "tool-arguments-misfit"),
    ],
)
def test_arguments_of_a_tool_call_are_whole_valid_and_fit(arguments: str, name: str | None) -> None:
    assert found(call(arguments), CALLED) == name


def test_a_tool_that_was_not_offered_is_named_and_kimis_form_of_id_is_none() -> None:
    assert found(call("{}", "get_whether"), CALLED) == "tool-not-offered"
    assert found(call('{"city": "Oslo"}', call_id="functions.get_weather:0"), CALLED) is None


def test_a_tool_that_the_server_runs_need_not_be_offered() -> None:
    run = Delta(
        tools=(ToolFragment(0, "c1", "interpreter", "{}"),),
        server_tools=(ServerTool("server_tool_use", "interpreter"),),
    )
    assert found(run, Delta(text="42"), STOP) is None
    assert found(Delta(tools=run.tools), Delta(text="42"), STOP) == "tool-not-offered"


def test_markup_among_the_words_is_leaked_but_not_in_code_marks_or_when_asked_about() -> None:
    leak = "<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0"
    assert found(Delta(text=leak), STOP) == "tool-markers-leaked"
    assert found(Delta(reasoning=leak), Delta(text="Done."), STOP) == "tool-markers-leaked"
    assert found(Delta(text=f"It writes `{leak}` first."), STOP) is None
    assert found(Delta(text=leak), STOP, request=RequestFacts("m", prompt=f"What is {leak}?")) is None


def test_a_text_that_stops_in_a_sentence_is_unfinished_where_nothing_else_explains_it() -> None:
    cut = Delta(text="Rivers begin in the hills. They gather rain. Near the sea they slow and")
    assert ended(ASKED, cut, STOP, DONE) == "text-unfinished"
    assert ended(ASKED, cut, Delta(finish_reason="STOP"), DONE) == "text-unfinished"
    assert ended(ASKED, cut, Delta(finish_reason="length"), DONE) is None
    assert ended(ASKED, cut, Delta(finish_reason="stop_sequence"), DONE) is None
    assert ended(ASKED, cut, call('{"city": "Oslo"}'), STOP, DONE) is None
    assert ended(RequestFacts("m", ends_elsewhere=True), cut, STOP, DONE) is None
    assert ended(ASKED, cut, Delta(model="gpt-4o"), STOP, DONE) == "wrong-model"
    assert ended(ASKED, cut, STOP) == "finish-without-done"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"stop": ["\n"]}, True),
        ({"stop": "x", "messages": []}, True),
        ({"stop_sequences": ["x"]}, True),
        ({"suffix": "end"}, True),
        ({"options": {"stop": ["x"]}}, True),
        ({"generationConfig": {"stopSequences": ["x"]}}, True),
        ({"inferenceConfig": {"stopSequences": ["x"]}}, True),
        ({"stop": None, "stop_sequences": [], "options": "x"}, False),
        ({}, False),
    ],
)
def test_a_request_may_say_where_its_answer_ends(body: dict[str, object], named: bool) -> None:
    assert ends_elsewhere(body) is named


def test_a_call_in_words_is_named_unless_the_prompt_shows_its_form() -> None:
    written = Delta(text='{"name": "get_weather", "parameters": {"city": "Oslo"}}')
    assert found(written, STOP) == "tool-markers-leaked"
    assert found(written, call('{"city": "Oslo"}'), CALLED) is None
    assert found(written, STOP, request=RequestFacts("m", prompt="Hi")) is None
    assert found(written, STOP, request=RequestFacts("m", (WEATHER,), 'Answer {"name": "get_weather", …}')) is None


def test_an_answer_without_an_answer_is_told_apart_by_what_it_did_hold() -> None:
    assert found(STOP) == "empty-answer"
    assert found(Delta(reasoning="hm"), Delta(finish_reason="length")) == "only-reasoning"
    assert found(CALLED) == "finish-mismatch"
    assert found(Delta(text="ok"), CALLED) == "finish-mismatch"
    assert found(call('{"city": "Oslo"}'), STOP) is None
    assert found(Delta(text="Yes."), STOP) is None
    hidden = Delta(usage=Usage(9, 64, 73, reasoning_tokens=64))
    assert found(Delta(finish_reason="length"), hidden) is None
    assert found(STOP, hidden) == "empty-answer"


def test_a_loop_is_found_in_text_reasoning_and_arguments() -> None:
    loop = "Let me check the file again. " * 20
    assert found(*words(PROSE + " " + loop), Delta(finish_reason="length")) == "repetition-loop"
    assert found(Delta(reasoning="The " * 200), Delta(finish_reason="length")) == "repetition-loop"
    assert found(call('{"city": "' + "Tokyo, " * 90), CALLED) == "repetition-loop"


def test_a_refrain_a_log_and_what_was_asked_for_are_no_loop() -> None:
    line = "Sing it again and carry it home, the river will remember us when the lamps are low.\n"
    length = Delta(finish_reason="length")
    assert found(*words(line * 20), STOP) is None
    assert found(*words(line * 20), length) == "repetition-loop"
    assert found(*words(line.strip() * 20), STOP) == "repetition-loop"
    assert found(*words(line * 20), length, request=RequestFacts("m", prompt="Print one line 20 times.")) is None
    assert found(*words(line * 20), length, request=RequestFacts("m", prompt=f"Set this to music: {line}")) is None


@pytest.mark.parametrize(
    ("prompt", "said", "ending", "name"),
    [
        ("Say banana 100 times.", "BANANA " * 100, "stop", None),
        ("Say banana 100 times.", "banana " * 100, "length", None),
        ("Say banana 100 times.", "banana " * 900, "length", "repetition-loop"),
        ("Print two hundred lines of a log.", "2026 INFO heartbeat ok\n" * 200, "length", None),
        ("Print 200 lines of a log.", "2026 INFO heartbeat ok\n" * 900, "length", "repetition-loop"),
        ("Sing it over and over.", "Row your boat, gently. " * 90, "length", None),
        ("Print it as often as I asked.", "Row your boat, gently. " * 90, "stop", None),
        ("Print it as often as I asked.", "Row your boat, gently. " * 90, "length", "repetition-loop"),
        ("How do rivers find the sea?", "the " * 300, "length", "repetition-loop"),
        ("How?", "Title\n" + "=" * 700 + "\nThe body.", "length", None),
        ("How?", "Title\n" + "=" * 300, "length", None),
        ("How?", "Rivers run" + "!" * 900, "length", "repetition-loop"),
        ("How?", "Rivers run" + "!" * 900, "stop", None),
        ("How?", "AAAA" * 900, "length", None),
    ],
)
def test_a_loop_is_weighed_against_what_was_asked(prompt: str, said: str, ending: str, name: str | None) -> None:
    asked = RequestFacts("m", prompt=prompt)
    assert found(Delta(text=said), Delta(finish_reason=ending), request=asked) == name


def test_a_long_passage_that_comes_again_and_again_is_a_loop() -> None:
    passage = " ".join(f"word{n} of the {n}th kind" for n in range(120)) + "\n\n"
    assert found(Delta(text=passage * 4), Delta(finish_reason="length")) == "repetition-loop"
    assert found(Delta(text=passage * 2), Delta(finish_reason="length")) is None


def test_nobody_asks_the_thinking_to_repeat() -> None:
    asked = RequestFacts("m", prompt="Print banana as often as I asked.")
    loop = Delta(reasoning="Wait, let me check that again. " * 40)
    assert found(loop, Delta(text="Four."), STOP, request=asked) == "repetition-loop"
    assert found(Delta(reasoning="banana " * 100), Delta(text="Four."), STOP, request=asked) is None


def test_chunks_that_are_sent_more_than_once_are_named() -> None:
    pieces = [f"word{n} " for n in range(40)]
    whole = "".join(pieces)
    assert found(*(Delta(text=piece) for piece in pieces for _ in (0, 1)), STOP) == "duplicate-chunks"
    assert found(*(Delta(text=piece) for piece in [*pieces, whole]), STOP) == "duplicate-chunks"
    assert found(*(Delta(text=whole[:end]) for end in range(10, len(whole), 10)), STOP) == "duplicate-chunks"
    assert found(*(Delta(text=piece) for piece in [*pieces, "word1 word1 "]), STOP) is None
    assert found(*(Delta(text=piece) for piece in ["00 ", "00 "] * 40), STOP) is None
    assert found(*(Delta(text="a" * n) for n in range(1, 9)), STOP) is None


def test_damaged_words_are_named_and_a_prompt_may_have_them() -> None:
    assert found(Delta(text="T\ufffd\ufffdky\ufffd"), STOP) == "garbled-text"
    assert found(Delta(text="T\ufffd\ufffd"), STOP, request=RequestFacts("m", prompt="What is \ufffd\ufffd?")) is None
    assert found(Delta(text="{" + "\n" * 2_000), Delta(finish_reason="length")) == "whitespace-flood"
    assert found(call('{"city": "Oslo"' + " " * 900 + "}"), CALLED) == "whitespace-flood"


def test_thinking_tags_belong_into_no_answer_but_may_stand_in_reasoning() -> None:
    assert found(Delta(text="<think>\nHm.\n</think>\nYes."), STOP) == "thinking-in-text"
    assert found(Delta(reasoning="<think>\nHm."), Delta(text="Yes."), STOP) is None
    assert found(call('{"city": "Tokyo<|tool_call_end|>"}'), CALLED) == "tool-markers-leaked"


@pytest.mark.parametrize(
    "text",
    [
        "-" * 500,
        "0, " * 300,
        "".join(f"| item {n} | not available | {n % 7} |\n" for n in range(40)),
        "ha " * 20,
        "".join(f"assert add({n}, 1) == {n + 1}\n" for n in range(60)),
        "\n" * 2_000,
    ],
)
def test_rulers_tables_and_like_lines_are_no_loop(text: str) -> None:
    assert loop_at_end(text) is None


def test_a_passage_that_comes_twice_chunk_for_chunk_is_a_duplicate() -> None:
    chunks = [f"{word} " for word in PROSE.split(" ")]
    assert passage_sent_twice(chunks) is None
    assert passage_sent_twice([*chunks[:120], *chunks[40:120], *chunks[120:]]) == "".join(chunks[40:120])
    assert passage_sent_twice(["| a | b | c |\n"] * 60) is None


def test_an_answer_of_media_or_of_the_servers_own_tools_is_not_empty_and_its_tokens_are_not_all_text() -> None:
    usage = Usage(9, 1_300, 1_309, reasoning_tokens=0)
    image, ran = Delta(media=("image/png",)), Delta(server_tools=(ServerTool("executableCode"),))
    for seen in (image, ran):
        assert found(seen, Delta(finish_reason="stop", usage=usage)) is None
    assert found(Delta(), STOP) == "empty-answer"
    assert found(Delta(text="Here."), Delta(finish_reason="stop", usage=usage)) == "usage-mismatch"


def test_output_after_the_last_finish_reason_is_named_but_one_late_word_is_not() -> None:
    assert found(Delta(text="a"), STOP, *words("b c d")) == "reordered-chunks"
    assert found(Delta(text="a"), STOP, *words("b c")) == "text-after-finish"
    assert found(Delta(text="a"), STOP, Delta(text=" late")) is None
    assert found(*(Delta(text=word, finish_reason="stop") for word in "abcdef")) is None
    early = Delta(tools=(ToolFragment(0, "", "", '{"city":'),))
    assert found(early, call(' "Oslo"}'), CALLED) == "reordered-chunks"


def test_another_model_or_a_changing_host_is_told() -> None:
    other = Delta(text="a", model="meta-llama/Llama-3.3-70B")
    assert found(other, STOP) == "wrong-model"
    switched = (Delta(text="a", upstream="Together"), Delta(text="b", upstream="DeepInfra"))
    assert found(*switched, STOP) == "upstream-switched"


def test_usage_is_missed_only_where_it_was_announced_and_doubted_only_where_it_cannot_be() -> None:
    announced = Delta(text="hello", raw='{"choices":[], "usage": null}')
    assert found(announced, STOP) == "usage-missing"
    assert found(Delta(text="hello"), STOP) is None
    assert found(*words(PROSE), STOP, Delta(usage=Usage(1, 3, 4))) == "usage-mismatch"
    assert found(*words(PROSE), STOP, Delta(usage=Usage(1, 3_000, 3_001))) is None
    assert found(Delta(text="Hi"), STOP, Delta(usage=Usage(1, 900, 901, reasoning_tokens=10))) == "usage-mismatch"
    assert found(Delta(text="Hi"), STOP, Delta(usage=Usage(1, 900, 901, reasoning_tokens=890))) is None
    assert found(Delta(text="Hi"), STOP, Delta(usage=Usage(1, 900, 901, 0, unseen_tokens=880))) is None
    assert found(Delta(text="Hi"), Delta(other_choices=True), STOP, Delta(usage=Usage(1, 900, 901, 0))) is None
    assert found(Delta(text="Hi"), STOP, Delta(usage=Usage(1, 0, 1))) == "usage-zero"
    assert found(call('{"city": "Oslo"}'), CALLED, Delta(usage=Usage(1, 0, 1))) == "usage-zero"


def test_rulers_and_indentation_are_few_tokens_and_reasoning_may_be_counted_apart() -> None:
    ruler = "a" + "=" * 79 + "\n" + " " * 60 + "b\n"
    assert found(*words(ruler * 20), STOP, Delta(usage=Usage(1, 80, 81))) is None
    apart = Delta(usage=Usage(1, 9, 10, reasoning_tokens=400))
    assert found(Delta(reasoning=PROSE), Delta(text="Yes."), STOP, apart) is None


FRAGMENTS = st.builds(ToolFragment, st.integers(0, 2), st.text(max_size=4), st.text(max_size=4), st.text(max_size=12))
DELTAS = st.builds(
    Delta,
    text=st.text(max_size=30),
    reasoning=st.text(max_size=30),
    tools=st.lists(FRAGMENTS, max_size=2).map(tuple),
    finish_reason=st.none() | st.sampled_from(["stop", "length", "tool_calls", "\ud800"]),
    usage=st.none() | st.builds(Usage, st.none() | st.integers(), st.none() | st.integers(), st.none()),
    error=st.none() | st.builds(StreamError, st.sampled_from(["in-stream", "malformed-frame"]), st.text(max_size=5)),
    keepalive=st.booleans(),
    done=st.booleans(),
    model=st.none() | st.text(max_size=20),
    upstream=st.none() | st.text(max_size=5),
    raw=st.text(max_size=20),
)


@given(
    st.lists(DELTAS, max_size=25),
    st.sampled_from(["done", "incomplete", "failed", "timed-out", "cancelled"]),
    st.booleans(),
)
def test_no_stream_makes_the_decision_fail(deltas: list[Delta], ending: str, lingered: bool) -> None:
    said, seen, timeline = Transcript(), ChunkStats(), Timeline(0, 1_000_000)
    timeline.on_phase("request_sent", 0)
    for number, delta in enumerate(deltas):
        t_ns = number * 700_000
        said.add(delta)
        seen.add(t_ns, delta, progress=delta.progress)
        timeline.on_chunk(
            t_ns,
            text=delta.progress,
            finish=delta.finish_reason is not None,
            done=delta.done,
        )
    timeline.on_closed(len(deltas) * 700_000)
    end_ns = len(deltas) * 700_000
    signature = decide(EndedAttempt(ending, timeline, ASKED, said, seen, said.error, end_ns, lingered))  # type: ignore[arg-type]
    assert signature.evidence


def test_a_refusal_or_a_tool_of_the_server_is_an_answer_and_silence_is_none() -> None:
    assert found(STOP) == "empty-answer"
    assert found(Delta(refusal="I cannot."), STOP) is None
    assert found(Delta(server_tools=(ServerTool("mcp_approval_request"),)), STOP) is None


def test_the_input_of_a_custom_tool_need_not_be_json() -> None:
    def sql(*, free_form: bool) -> Delta:
        return Delta(tools=(ToolFragment(0, "c1", "get_weather", "SELECT 1", free_form),))

    assert found(sql(free_form=True), CALLED) is None
    assert found(sql(free_form=False), CALLED) == "tool-arguments-invalid"


def ended(request: RequestFacts, *deltas: Delta) -> str | None:
    said, seen, timeline = Transcript(), ChunkStats(), Timeline(0, 5_000_000_000)
    for number, delta in enumerate(deltas, 1):
        said.add(delta)
        seen.add(number * 1_000_000, delta, progress=delta.progress)
        timeline.on_chunk(
            number * 1_000_000,
            chunk=True,
            text=bool(delta.text),
            finish=delta.finish_reason is not None,
            done=delta.done,
        )
    return decide(EndedAttempt("done", timeline, request, said, seen, None, 10_000_000)).name


def test_a_dialect_says_which_answers_may_be_empty_and_whether_a_reason_is_owed() -> None:
    plain = RequestFacts("m")
    lenient = RequestFacts("m", finish_words=FinishWords(required=False, without_output=frozenset({"load"})))
    loaded, unexplained = Delta(finish_reason="load", done=True), Delta(done=True)
    assert ended(plain, loaded) == "empty-answer"
    assert ended(lenient, loaded) is None
    assert ended(lenient, Delta(finish_reason="stop", done=True)) == "empty-answer"
    assert ended(plain, Delta(text="Hi"), unexplained) == "done-without-finish"
    assert ended(lenient, Delta(text="Hi"), unexplained) is None


def test_a_told_refusal_a_pause_and_a_tool_of_the_provider_are_no_empty_answer() -> None:
    messages = RequestFacts("m", finish_words=Messages().finish_words)
    used = Delta(server_tools=(ServerTool("server_tool_use", "web_search"),))
    assert ended(messages, Delta(finish_reason="refusal", done=True)) is None
    assert ended(messages, used, Delta(finish_reason="pause_turn", done=True)) is None
    assert ended(messages, used, Delta(finish_reason="tool_use", done=True)) is None
    assert ended(messages, Delta(finish_reason="end_turn", done=True)) == "empty-answer"
    assert ended(messages, Delta(finish_reason="tool_use", done=True)) == "finish-mismatch"


def test_output_that_a_tool_of_the_provider_was_given_is_no_mismatch_of_usage() -> None:
    counted = Delta(text="Done.", usage=Usage(3, 5_000, None, 10), finish_reason="end_turn", done=True)
    used = Delta(server_tools=(ServerTool("server_tool_use", "code_execution"),))
    assert ended(RequestFacts("m"), counted) == "usage-mismatch"
    assert ended(RequestFacts("m"), used, counted) is None
