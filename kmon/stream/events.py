"""Everything that happens in a race, as frozen values: the one language between engine, screen, JSON and files.

Each event encodes to one line of JSON, ``{"type": ..., ...}``. Stamps are CLOCK_MONOTONIC nanoseconds (``t_ns``)
of the machine that measured; durations carry ``_ms``. The shapes of ``race_started``, ``delta``, ``stall_*``,
``run_ended`` and ``race_ended`` are a contract with other programs (README, "JSON").
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from kmon.dialects.delta import Kind, Output, StreamError, ToolCall, ToolFragment, Usage, output
from kmon.stream.blame import Blame
from kmon.stream.claim import Claim
from kmon.transport.connect import Phase
from kmon.transport.tcp_info import TcpState

State = Literal[
    "queued", "connecting", "waiting", "streaming", "stalled", "finishing",
    "done", "incomplete", "failed", "timed-out", "cancelled",
]  # fmt: skip
Ending = Literal["done", "incomplete", "failed", "timed-out", "cancelled"]
StallPhase = Literal[
    "before-first-token", "mid-text", "mid-reasoning", "mid-tool-arguments", "after-last-delta",
]  # fmt: skip
WatchedClock = Literal["progress", "byte"]
"""On which clock an attempt's silences are watched: ``byte`` where kmon does not read what comes."""
AttemptRole = Literal["first", "retry", "turn", "nudge", "fallback"]
"""Why an attempt was made. ``retry`` is one more at the same target, by the policy or because someone asked;
``fallback`` one at the next target of the policy's list."""
AlertRule = Literal["success-rate", "consecutive-failures", "chunks-per-stream"]


class _Event(Struct, frozen=True, omit_defaults=True, tag_field="type"):
    t_ns: int


class RaceStarted(_Event, frozen=True, tag="race_started"):
    targets: tuple[str, ...]
    scenario: str
    count: int
    simulated: bool = False
    stall_ms: float = 5000.0
    timeout_ms: float = 0.0
    policy: dict[str, float | int | str | list[str]] = {}
    """Limits, retries and fallbacks that were set, by the names of their settings."""
    stall_learned: bool = False
    """Whether ``stall_ms`` gives way to what each target's own gaps teach."""


class RunQueued(_Event, frozen=True, tag="run_queued"):
    """A run exists. ``target`` is the name the user typed, ``label`` is ``provider/model``."""

    run: str
    target: str
    label: str
    scenario: str
    round: int
    dialect: str
    note: str = ""
    """Who asks, where that is somebody else: the User-Agent of a request that is only watched."""


class RunForgotten(_Event, frozen=True, tag="run_forgotten"):
    """A run that ended is let go, so that what is kept of a watch without end stays bounded."""

    run: str


class AttemptStarted(_Event, frozen=True, tag="attempt_started"):
    run: str
    attempt: int
    role: AttemptRole
    url: str
    proxy: str | None = None
    turn: int = 1
    """Which request of the conversation it is."""
    target: str = ""
    """The target it is aimed at, only where that is not the run's own: after a fallback."""


class PhaseReached(_Event, frozen=True, tag="phase"):
    """A connection phase was completed. ``detail`` is e.g. the peer address or the TLS version."""

    run: str
    attempt: int
    phase: Phase
    detail: str = ""


class HeadersReceived(_Event, frozen=True, tag="headers"):
    run: str
    attempt: int
    status: int
    request_ids: dict[str, str]
    content_type: str = ""


UNREAD = "a stream kmon does not read"


class Unread(_Event, frozen=True, tag="unread"):
    """From now on kmon does not read what this attempt gets: it is watched on the byte clock and judged by its
    transport alone. Told at its start where the dialect is not known, and again when more is known.
    """

    run: str
    attempt: int
    stream: bool
    """Whether it is a stream; a body whole in one piece, or whose headers have not come, is not known to be one."""


class WireSilence(_Event, frozen=True, tag="wire_silence"):
    """No byte of an attempt that kmon does not read for longer than the stall threshold. It is no stall: whether
    anything was owed, kmon cannot know. Told once it is that long, again when it is ``over``.
    """

    run: str
    attempt: int
    gap_ms: float
    """So far, or the whole of it."""
    over: bool = False
    blame: Blame | None = None
    """Only where it is nearer than the other end: this machine, the client, or the path."""


class BytesArrived(_Event, frozen=True, tag="bytes"):
    """A read that completed no chunk: life on the byte clock only."""

    run: str
    attempt: int
    size: int


class DeltaArrived(_Event, frozen=True, tag="delta"):
    """One chunk (or keep-alive). ``text`` is the text of its ``kind``: words, thoughts or tool arguments; of an
    ``error`` the words that came in the same chunk."""

    run: str
    attempt: int
    kind: Kind
    text: str
    reasoning: str = ""
    """The reasoning beside ``text``, where that is not the reasoning itself."""
    tools: tuple[ToolFragment, ...] = ()
    finish_reason: str | None = None
    usage: Usage | None = None
    error: StreamError | None = None
    done: bool = False
    chunk: bool = True
    model: str | None = None
    upstream: str | None = None
    raw: str = ""
    """The chunk as received, cleaned and bounded, for the raw view."""
    held: tuple[Kind, ...] = ()
    """Of which kinds it brought output that is not shown yet, since a key may begin in it: progress all the same."""
    late: bool = False
    """Not a chunk, but what was held back and turned out to be no key. It moves no clock."""
    tools_dropped: int = 0
    """Pieces of tool calls that were more than one chunk may bring."""

    @property
    def words(self) -> str:
        """The piece of the answer's text."""
        return self.text if self.kind in ("text", "error") else ""

    @property
    def thoughts(self) -> str:
        """The piece of the reasoning."""
        return self.text if self.kind == "reasoning" else self.reasoning

    @property
    def output(self) -> Output:
        """What of the answer it made longer, cleaned. What comes ``late`` was counted when it arrived."""
        return output(self.words, self.thoughts, self.tools, self.held)


class StallThreshold(_Event, frozen=True, tag="stall_threshold"):
    """From now on a silence of ``threshold_ms`` in this phase of the attempt is a stall; learned from ``gaps`` gaps."""

    run: str
    attempt: int
    phase: StallPhase
    threshold_ms: float
    gaps: int

    @property
    def words(self) -> str:
        """``stall after 1.8 s mid-text (learned, 412 gaps)``."""
        return f"stall after {self.threshold_ms / 1000:.1f} s {self.phase} (learned, {self.gaps} gaps)"


class StallStarted(_Event, frozen=True, tag="stall_started"):
    """A progress gap passed the threshold. ``gap_ms`` is its length at ``t_ns``; it is still open."""

    run: str
    attempt: int
    phase: StallPhase
    gap_ms: float
    witness: TcpState | None = None
    """What the kernel said of the socket at that moment; None where it says nothing, or the gap had just ended."""
    blame: Blame | None = None
    """Whose silence it is, as far as is known at that moment; a ``blame`` event corrects it."""
    threshold_ms: float | None = None
    """What the gap passed."""


class Blamed(_Event, frozen=True, tag="blame"):
    """The witnesses were heard again while a stall was open, and now say something else."""

    run: str
    attempt: int
    blame: Blame


class StallEnded(_Event, frozen=True, tag="stall_ended"):
    """``gap_ms`` is the whole gap. ``ended`` is False when the attempt closed with the gap still open."""

    run: str
    attempt: int
    phase: StallPhase
    gap_ms: float
    ended: bool = True
    blame: Blame | None = None


class AttemptEnded(_Event, frozen=True, tag="attempt_ended"):
    run: str
    attempt: int
    role: AttemptRole
    state: Ending
    signature: str | None = None
    evidence: str = ""
    error: StreamError | None = None
    blame: Blame | None = None
    """Of its longest stall; None where there was none, or nobody looked."""
    chunks: int = 0


class RetryScheduled(_Event, frozen=True, tag="retry_scheduled"):
    """The policy makes another attempt after ``attempt``, in ``delay_ms``; nothing was sent for it yet.

    ``number`` of ``of`` counts the retries of this request at its target, or the fallbacks of the list. ``reason`` says
    why, and where the delay is from if the server asked for it: ``HTTP 429, Retry-After``.
    """

    run: str
    attempt: int
    role: AttemptRole
    target: str
    reason: str
    delay_ms: float
    number: int
    of: int
    after_first_token: bool = False
    """Whether the attempt had begun to answer: what it said is given up, and may be paid for twice."""
    retry_after_ms: float | None = None
    """What the server asked for; longer than ``delay_ms`` where that was more than the policy waits."""


class NudgeResult(_Event, frozen=True, tag="nudge_result"):
    """What came of a nudge, as a sentence: ``first resumed 0.4 s after the nudge``. May be refined once."""

    run: str
    attempt: int
    sentence: str


class Stall(Struct, frozen=True, omit_defaults=True):
    """A progress gap over the threshold. ``start_ms`` counts from the start of its attempt."""

    phase: StallPhase
    start_ms: float
    duration_ms: float
    ended: bool
    own: bool = False
    """It is certain that this program or its machine made it: it is counted in no verdict."""


class RunEnded(_Event, frozen=True, tag="run_ended"):
    run: str
    target: str
    attempts: int
    state: Ending
    signature: str | None
    evidence: str
    error: StreamError | None
    ttft_ms: float | None
    max_gap_ms: float | None
    stalls: tuple[Stall, ...]
    chunks: int
    text: str
    reasoning: str
    tool_calls: tuple[ToolCall, ...]
    finish_reason: str | None
    usage: Usage | None
    response_id: str
    request_ids: dict[str, str]
    label: str = ""
    scenario: str = ""
    round: int = 1
    ttfo_ms: float | None = None
    duration_ms: float = 0.0
    keepalives: int = 0
    nudge: str = ""
    turns: int = 1
    """Requests of the conversation, up to the one that ended it: where a chain of tool calls got to."""
    tool_results: int = 0
    """Tool results that were sent back on the way."""
    retries: int = 0
    """Attempts that the policy added, fallbacks included."""
    fallback_target: str = ""
    """The target of the last attempt, only where that is not the run's own: after a fallback."""
    diagnosis: str = ""
    """On which side it hung, as it was last told: name and sentence."""
    blame: Blame | None = None
    """Whose the longest stall of the deciding attempt was."""
    dropped_chars: int = 0
    """Characters of text, reasoning and arguments beyond what is kept of an answer."""
    dropped_tool_calls: int = 0
    """Tool calls beyond what is kept of an answer."""
    others_gap_ms: float | None = None
    """The longest gap that was not this machine's own, only where one was: ``max_gap_ms`` holds them all."""
    unread: bool = False
    """A stream that kmon does not read: gaps are those of the byte clock, and its transport alone was judged."""


class RaceEnded(_Event, frozen=True, tag="race_ended"):
    ok: int
    failed: int
    duration_ms: float
    interrupted: bool = False
    disturbed: int = 0
    """How many of them all, ``ok`` or ``failed``, were disturbed by this machine (signature ``kmon-late``)."""


class ClaimChanged(_Event, frozen=True, tag="claim"):
    """What the chat program that is being watched shows from now on, as it shows it: ``connected | idle``.

    Only where its own rules are mirrored, as for a gateway; an ordinary HTTP client's claim follows from the stream.
    A busy line comes without its running seconds (``running | connected``): they count from ``t_ns``.
    """

    run: str
    attempt: int
    claim: str
    gateway_run: str = ""
    """The gateway's own run, by a few characters of its id."""
    opened_ns: int | None = None
    """When that run began; None where it is the attempt's own start."""
    shown: Claim | None = None
    """``claim`` by its parts."""


class Diagnosed(_Event, frozen=True, tag="diagnosis"):
    """On which side a run hangs, told from several vantage points: ``adapter-buffering`` and a sentence with figures.

    A later one of the same run replaces it; an empty ``name`` takes it back.
    """

    run: str
    attempt: int
    name: str
    sentence: str


class ErrorCount(Struct, frozen=True):
    """How often streams failed one way: a signature, or the state they ended in where none was found."""

    name: str
    count: int


class TargetHealth(_Event, frozen=True, tag="target_health"):
    """How the streams of one target went so far: every attempt that ended, nudges and what the user cancelled left out.

    ``success_rate`` is ``ok / streams``, a share. ``chunks_per_stream`` is the average of those that ended well, None
    before the first.
    """

    target: str
    streams: int
    ok: int
    success_rate: float
    consecutive_failures: int
    chunks_per_stream: float | None
    top_errors: tuple[ErrorCount, ...]
    disturbed: int = 0
    """Streams that this machine disturbed; they are in none of the other figures."""


class Alert(_Event, frozen=True, tag="alert"):
    """A target's health crossed a threshold. Said once, and again only after it had recovered."""

    target: str
    rule: AlertRule
    figure: float
    threshold: float
    streams: int
    sentence: str


class EngineHealth(_Event, frozen=True, tag="engine_health"):
    """How well the engine itself keeps time: the worst event-loop lag since the last report."""

    lag_ms: float
    chunks: int
    dropped: int = 0


class Notice(_Event, frozen=True, tag="notice"):
    """Something the user should know that belongs to no run."""

    level: Literal["info", "warning", "error"]
    message: str


Event = (
    RaceStarted | RunQueued | AttemptStarted | PhaseReached | HeadersReceived | BytesArrived | DeltaArrived
    | StallStarted | StallEnded | AttemptEnded | NudgeResult | RunEnded | RaceEnded | EngineHealth | Notice
    | ClaimChanged | Diagnosed | RetryScheduled | Blamed | RunForgotten | StallThreshold | TargetHealth | Alert
    | Unread | WireSilence
)  # fmt: skip
