"""``kmon selftest --recordings``: replays recorded streams through the real probe, and counts the signatures they get.

A recorded stream may deserve its name, so a name is no error by itself: the files are listed, for a reader to look at.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from kmon.errors import UsageError
from kmon.format import plural
from kmon.model import Scenario, Target
from kmon.output.selftest_bench import Bench, RowResult, run_cases
from kmon.probe.send import Shared
from kmon.recording import Interaction, load
from kmon.simulator.embedded import Embedded
from kmon.simulator.replay import Replayed, replay_scenario, replay_target, replayed
from kmon.stats.statistics import clopper_pearson, interval_words

TIMEOUT_S = 600.0
"""In recorded seconds."""


class Found(Struct, frozen=True):
    """The recorded streams below a directory, and the files that hold none."""

    recordings: Mapping[str, Sequence[Interaction]]
    others: tuple[str, ...]
    """Files that kmon cannot read, or that hold no stream it can ask for again."""


class RecordedCase(Struct, frozen=True):
    """One recorded stream, as a case of the self-test."""

    stream: Replayed
    file: str
    """Its path, relative to the directory."""
    expects: None = None
    place: str = ""
    timeout_s: float = TIMEOUT_S

    @property
    def name(self) -> str:
        return f"{self.file}#{self.stream.interaction.index}"

    def scenario(self, seed: int) -> Scenario:
        """What was asked, as far as the recording holds it. The same for every seed."""
        return replay_scenario(self.stream)

    def target(self, origin: str) -> Target:
        """The target at a simulator of this ``origin`` that serves the recordings."""
        return replay_target(self.stream, origin)


def found_below(directory: Path) -> Found:
    """The recordings in the files below ``directory``. Raises :class:`UsageError` if there are none."""
    if not directory.is_dir():
        raise UsageError(f"--recordings {directory}: no such directory; name one that holds recorded streams")
    recordings: dict[str, Sequence[Interaction]] = {}
    others: list[str] = []
    for file in sorted(path for path in directory.rglob("*") if path.is_file()):
        try:
            interactions = load(file)
            streams = replayed({str(file): interactions})
        except UsageError:
            streams = []
        if any(stream.interaction.status is not None for stream in streams):  # else any JSON file with an error in it
            recordings[str(file)] = interactions
        else:
            others.append(str(file))
    if not recordings:
        raise UsageError(f"--recordings {directory}: no file below it holds a stream that kmon can replay")
    return Found(recordings, tuple(others))


async def run_recordings(directory: Path, *, speed: float, concurrency: int) -> tuple[Found, Bench[RecordedCase]]:
    """Replay each recorded stream below ``directory`` once, ``speed`` times as fast, and name it."""
    found = found_below(directory)
    cases = [
        RecordedCase(stream, str(Path(stream.file).relative_to(directory)))
        for stream in replayed(found.recordings)
        if stream.interaction.status is not None
    ]
    async with Embedded(speed=speed, replay=tuple(found.recordings)) as simulator:
        origins = {"": simulator.origin}
        return found, await run_cases(cases, origins, Shared(), seeds=1, speed=speed, concurrency=concurrency)


def report(found: Found, bench: Bench[RecordedCase]) -> list[str]:
    """The result as lines: each signature with its streams, and the share of streams that got any."""
    named, total = _named(bench.rows), sum(row.runs for row in bench.rows)
    lines = []
    for name, rows in named.items():
        lines.append(f"{name}  {len(rows)}")
        lines += [f"  {row.case.name}: {row.evidence[name]}" for row in rows]
    hits = sum(map(len, named.values()))
    share = f" ({hits / total:.1%}, 95 % interval {interval_words(clopper_pearson(hits, total))})" if total else ""
    lines += [
        "",
        f"{plural(total, 'recorded stream')} in {plural(len(found.recordings), 'file')}; "
        f"{plural(len(found.others), 'other file')} without a stream that kmon can replay",
        f"named: {hits} of {total}{share}; a recorded fault deserves its name, so look at each",
    ]
    if unmeasured := sum(row.unmeasured for row in bench.rows):
        lines.append(f"{plural(unmeasured, 'stream')} could not be measured: this machine is too busy")
    return lines


def as_object(found: Found, bench: Bench[RecordedCase]) -> str:
    """The same as one JSON object."""
    named, total = _named(bench.rows), sum(row.runs for row in bench.rows)
    hits = sum(map(len, named.values()))
    interval = clopper_pearson(hits, total) if total else None
    return json.dumps(
        {
            "type": "selftest_recordings",
            "streams": total,
            "files": len(found.recordings),
            "other_files": len(found.others),
            "named": hits,
            "named_rate": hits / total if total else None,
            "named_rate_low": None if interval is None else interval.low,
            "named_rate_high": None if interval is None else interval.high,
            "unmeasured": sum(row.unmeasured for row in bench.rows),
            "signatures": {
                name: [{"stream": row.case.name, "evidence": row.evidence[name]} for row in rows]
                for name, rows in named.items()
            },
        }
    )


def _named(rows: Sequence[RowResult[RecordedCase]]) -> dict[str, list[RowResult[RecordedCase]]]:
    """The rows that got a signature, by signature, the most frequent first."""
    found: dict[str, list[RowResult[RecordedCase]]] = {}
    for row in rows:
        for name in row.signatures:
            if name is not None:
                found.setdefault(name, []).append(row)
    return dict(sorted(found.items(), key=lambda entry: -len(entry[1])))
