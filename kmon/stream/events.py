"""The events of a race as frozen values, shared by engine, screen, JSON output and files.

Each event encodes to one line of JSON, ``{"type": ..., ...}``. Stamps are CLOCK_MONOTONIC nanoseconds (``t_ns``)
of the machine that measured; durations carry ``_ms``. The shapes of ``race_started``, ``delta``, ``stall_*``,
``run_ended`` and ``race_ended`` are a contract with other programs (README, "JSON").
"""

from __future__ import annotations

from typing import Literal

from msgspec import field

from kmon.dialects.delta import HiddenWork, Kind, Output, StreamError, ToolCall, ToolFragment, Usage, output
from kmon.stream.blame import Blame
from kmon.stream.claim import Claim
from kmon.stream.stall import Stall, StallPhase
from kmon.stream.stamped import Stamped
from kmon.stream.target_events import Alert, TargetHealth
from kmon.transport.phase import Phase
from kmon.transport.tcp_info import TcpState

Ending = Literal["done", "incomplete", "failed", "timed-out", "cancelled"]
AttemptRole = Literal["first", "retry", "turn", "nudge", "fallback"]
"""Why an attempt was made. ``retry``: again at the same target, by the policy or by the user; ``fallback``: at the next
target of the policy's list."""


class RaceStarted(Stamped, frozen=True, tag="race_started"):
    targets: tuple[str, ...]
    scenario: str
    count: int
    simulated: bool = False
    stall_ms: float = 5000.0
    timeout_ms: float = 0.0
    policy: dict[str, float | int | str | list[str]] = field(default_factory=dict)
    """Limits, retries and fallbacks that differ from the defaults, by setting name."""
    stall_learned: bool = False
    """Whether learned thresholds replace ``stall_ms``."""


class RunQueued(Stamped, frozen=True, tag="run_queued"):
    """A run exists. ``target`` is the name the user typed, ``label`` is ``provider/model``."""

    run: str
    target: str
    label: str
    scenario: str
    round: int
    dialect: str
    note: str = ""
    """The User-Agent of the client, for a request that kmon only watches."""


class RunForgotten(Stamped, frozen=True, tag="run_forgotten"):
    """An ended run is dropped, so that the memory of an endless watch stays bounded."""

    run: str


class AttemptStarted(Stamped, frozen=True, tag="attempt_started"):
    run: str
    attempt: int
    role: AttemptRole
    url: str
    proxy: str | None = None
    turn: int = 1
    """The number of the request in its conversation, from 1."""
    target: str = ""
    """Its target if that differs from the run's own, that is, after a fallback."""


class PhaseReached(Stamped, frozen=True, tag="phase"):
    """A connection phase was completed. ``detail`` is e.g. the peer address or the TLS version."""

    run: str
    attempt: int
    phase: Phase
    detail: str = ""


class HeadersReceived(Stamped, frozen=True, tag="headers"):
    run: str
    attempt: int
    status: int
    request_ids: dict[str, str]
    content_type: str = ""


class Unread(Stamped, frozen=True, tag="unread"):
    """From now on kmon does not read this attempt's response: it watches the byte clock and judges the transport alone.
    Emitted at the start if the dialect is unknown, and again when ``stream`` changes.
    """

    run: str
    attempt: int
    stream: bool
    """Whether it is a stream; False as well while the headers are missing."""
    dialect: str = ""
    """The name of its dialect, where kmon recognises it (``kmon/dialects/unread_dialects.py``)."""


class WireSilence(Stamped, frozen=True, tag="wire_silence"):
    """No byte for longer than the stall threshold, in an attempt that kmon does not read. It is no stall, since kmon
    cannot know whether output was due. Emitted when it is that long, and again when it is ``over``.
    """

    run: str
    attempt: int
    gap_ms: float
    """Its length so far, or in total once it is over."""
    over: bool = False
    blame: Blame | None = None
    """Only for this machine, the client or the path, never for the other end."""


class BytesArrived(Stamped, frozen=True, tag="bytes"):
    """A read that completed no chunk; it advances the byte clock only. ``size`` is in bytes."""

    run: str
    attempt: int
    size: int


class DeltaArrived(Stamped, frozen=True, tag="delta"):
    """One chunk or keep-alive. ``text`` is the text of its ``kind``: answer text, reasoning or tool arguments; for an
    ``error`` the answer text in the same chunk."""

    run: str
    attempt: int
    kind: Kind
    text: str
    reasoning: str = ""
    """The reasoning in the same chunk, if ``text`` is not the reasoning."""
    tools: tuple[ToolFragment, ...] = ()
    finish_reason: str | None = None
    usage: Usage | None = None
    error: StreamError | None = None
    done: bool = False
    chunk: bool = True
    model: str | None = None
    upstream: str | None = None
    hidden_work: HiddenWork | None = None
    """What the server works on from now on without output; ``none`` if that is over."""
    raw: str = ""
    """The chunk as received, cleaned and bounded, for the raw view."""
    held: tuple[Kind, ...] = ()
    """Kinds of output in it that are held back because a key may begin there; they count as progress."""
    late: bool = False
    """Not a chunk, but output that was held back and is no key. It advances no clock."""
    tools_dropped: int = 0
    """Tool-call fragments beyond the limit per chunk."""
    media: tuple[str, ...] = ()
    """MIME types of output that is no text."""

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
        """Which parts of the answer it extended, after cleaning. ``late`` output was counted when it arrived."""
        return output(self.words, self.thoughts, self.tools, self.held, self.media)


class StallThreshold(Stamped, frozen=True, tag="stall_threshold"):
    """From now on a silence of ``threshold_ms`` in this phase is a stall; learned from ``gaps`` gaps."""

    run: str
    attempt: int
    phase: StallPhase
    threshold_ms: float
    gaps: int


class StallStarted(Stamped, frozen=True, tag="stall_started"):
    """A progress gap passed the threshold. ``gap_ms`` is its length at ``t_ns``; it is still open."""

    run: str
    attempt: int
    phase: StallPhase
    gap_ms: float
    witness: TcpState | None = None
    """The socket's TCP state at that moment; None where the kernel has none, or when the gap had just ended."""
    blame: Blame | None = None
    """The blame at that moment; a later ``blame`` event replaces it."""
    threshold_ms: float | None = None
    """The threshold that the gap passed."""


class Blamed(Stamped, frozen=True, tag="blame"):
    """The blame of an open stall changed."""

    run: str
    attempt: int
    blame: Blame


class StallEnded(Stamped, frozen=True, tag="stall_ended"):
    """``gap_ms`` is the whole gap. ``ended`` is False when the attempt closed with the gap still open."""

    run: str
    attempt: int
    phase: StallPhase
    gap_ms: float
    ended: bool = True
    blame: Blame | None = None


class AttemptEnded(Stamped, frozen=True, tag="attempt_ended"):
    run: str
    attempt: int
    role: AttemptRole
    state: Ending
    signature: str | None = None
    evidence: str = ""
    error: StreamError | None = None
    blame: Blame | None = None
    """Of its longest stall; None without a stall or without a blame."""
    chunks: int = 0


class RetryScheduled(Stamped, frozen=True, tag="retry_scheduled"):
    """The policy makes another attempt after ``attempt``, in ``delay_ms``; it has not been sent yet.

    ``number`` of ``of`` counts the retries of this request at its target, or the fallbacks of the list. ``reason``
    names the failure, and ``Retry-After`` if the server set the delay: ``HTTP 429, Retry-After``.
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
    """Whether the attempt had begun to answer; that output is discarded, and may be billed twice."""
    retry_after_ms: float | None = None
    """The delay that the server asked for; longer than ``delay_ms`` if the policy's cap cut it."""


class NudgeResult(Stamped, frozen=True, tag="nudge_result"):
    """The effect of a nudge as a sentence: ``first resumed 0.4 s after the nudge``. It may be refined once."""

    run: str
    attempt: int
    sentence: str


class RunEnded(Stamped, frozen=True, tag="run_ended"):
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
    """Number of requests of the conversation, up to the one that ended it."""
    tool_results: int = 0
    """Tool results that were sent back."""
    retries: int = 0
    """Attempts that the policy added, fallbacks included."""
    fallback_target: str = ""
    """The target of the last attempt if it differs from the run's own, that is, after a fallback."""
    diagnosis: str = ""
    """The last diagnosis: name and sentence."""
    blame: Blame | None = None
    """Of the longest stall of the deciding attempt."""
    dropped_chars: int = 0
    """Characters of text, reasoning and arguments beyond the limit per answer."""
    dropped_tool_calls: int = 0
    """Tool calls beyond the limit per answer."""
    others_gap_ms: float | None = None
    """The longest gap that this machine did not cause; None where it caused none. ``max_gap_ms`` includes all gaps."""
    unread: bool = False
    """A stream that kmon does not read: gaps are on the byte clock, and only its transport was judged."""
    unread_dialect: str = ""
    """The name of its dialect, where kmon recognises it."""
    refusal: str = ""
    """The words with which the model declined, if the wire has them apart from the text."""
    started_ms: float = 0.0
    """From the start of the race to the start of the run, on the monotonic clock."""
    left_open_ms: float | None = None
    """The silence in which the deciding attempt was ended: by its limit, by the user or by a fault. None if no output
    was due, 0 if this machine caused it."""
    mid_gap_ms: float | None = None
    """The longest silence after the first token, over all turns, that this machine did not cause; None without a
    token."""
    late_ms: float = 0.0
    """For how long kmon itself stood still, over all turns."""
    reused: bool = False
    """Whether the deciding attempt was sent over a connection that an earlier request had used."""


class RaceEnded(Stamped, frozen=True, tag="race_ended"):
    ok: int
    failed: int
    duration_ms: float
    interrupted: bool = False
    disturbed: int = 0
    """How many of all runs this machine disturbed (signature ``kmon-late``)."""
    broken: bool = False
    """Whether kmon itself failed between the runs, so that runs of the plan are missing."""


class ClaimChanged(Stamped, frozen=True, tag="claim"):
    """What the watched chat program shows from now on: ``connected | idle``.

    Emitted only where kmon follows the program's own rules, as for a gateway; an ordinary HTTP client's claim follows
    from the stream. A busy line lacks its running seconds (``running | connected``): they count from ``t_ns``.
    """

    run: str
    attempt: int
    claim: str
    gateway_run: str = ""
    """The gateway's own run: the first characters of its id."""
    opened_ns: int | None = None
    """Start of that run (ns); None if it is the start of the attempt."""
    shown: Claim | None = None
    """``claim`` in its parts."""


class Diagnosed(Stamped, frozen=True, tag="diagnosis"):
    """Which side a run hangs on, from several observation points: ``adapter-buffering`` and a sentence with figures.

    A later one of the same run replaces it; an empty ``name`` withdraws it.
    """

    run: str
    attempt: int
    name: str
    sentence: str


class EngineHealth(Stamped, frozen=True, tag="engine_health"):
    """The engine's worst event-loop lag since the last report, and its chunks so far: queued and dropped."""

    lag_ms: float
    chunks: int
    dropped: int = 0


class Notice(Stamped, frozen=True, tag="notice"):
    """A message to the user that belongs to no run."""

    level: Literal["info", "warning", "error"]
    message: str


Event = (
    RaceStarted | RunQueued | AttemptStarted | PhaseReached | HeadersReceived | BytesArrived | DeltaArrived
    | StallStarted | StallEnded | AttemptEnded | NudgeResult | RunEnded | RaceEnded | EngineHealth | Notice
    | ClaimChanged | Diagnosed | RetryScheduled | Blamed | RunForgotten | StallThreshold | TargetHealth | Alert
    | Unread | WireSilence
)  # fmt: skip
