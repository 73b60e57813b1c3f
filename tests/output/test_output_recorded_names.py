"""Every name that a recorded stream of the corpora gets is in ``recorded_names.toml``, with why it is right.

``KMON_CORPUS`` names the first corpus; the second lies beside it. A name that is new, missing or another one fails, in
decode and in a replay. README quotes what follows: how many healthy recordings get a name.
"""

from __future__ import annotations

import os
import tomllib
from functools import cache
from pathlib import Path

import pytest

from kmon.catalog.signatures import signatures
from kmon.errors import UsageError
from kmon.findings.recorded import decode
from kmon.recording import Interaction, load
from kmon.recording.decode import decodable
from kmon.simulator.replay import replayed
from kmon.stats.statistics import clopper_pearson, interval_words
from tests.support.same_names import replayed_names

CORPUS = os.environ.get("KMON_CORPUS")
CORPORA = ("corpus", "corpus2")
README = Path(__file__).parents[2] / "README.md"
RIGHT: dict[str, dict[str, tuple[str, str]]] = tomllib.loads(
    Path(__file__).with_name("recorded_names.toml").read_text("utf-8")
)
"""Name and reason by corpus and stream."""

each_corpus = pytest.mark.parametrize("corpus", CORPORA)


def folder(corpus: str) -> Path:
    found = None if CORPUS is None else Path(CORPUS).parent / corpus
    if found is None or not found.is_dir():
        pytest.skip("KMON_CORPUS is not set, or this corpus is not beside it: no recorded streams to name")
    return found


@cache
def recordings(below: Path) -> dict[str, list[Interaction]]:
    """The streams in each file, by its path."""
    found = {}
    for file in sorted(path for path in below.rglob("*") if path.is_file()):
        try:
            streams = [one for one in load(file) if decodable(one)]
        except UsageError:
            continue
        if streams:
            found[file.relative_to(below).as_posix()] = streams
    return found


@cache
def names(below: Path) -> dict[str, str]:
    """What decode calls each stream that gets a name."""
    found = {}
    for file, streams in recordings(below).items():
        for one in streams:
            if (name := decode(file, one).signature) is not None:
                found[f"{file}#{one.index}"] = name
    return found


def test_each_name_has_a_reason() -> None:
    for named in RIGHT.values():
        assert {name for name, _ in named.values()} <= set(signatures())
        assert all(why and len(why) < 100 for _, why in named.values())


@each_corpus
def test_every_recorded_stream_gets_the_right_name_or_none(corpus: str) -> None:
    assert names(folder(corpus)) == {stream: name for stream, (name, _) in RIGHT[corpus].items()}


@each_corpus
async def test_a_replay_gives_the_same_names(corpus: str) -> None:
    asked = {}
    for file, streams in recordings(folder(corpus)).items():
        known = [one for one in streams if one.status is not None]  # a replay has to send some status
        try:
            replayed({file: known})
        except UsageError:
            continue
        asked[file] = known
    found = await replayed_names(asked)
    right = RIGHT[corpus]
    assert found == {key: right.get(f"{key[0]}#{key[1]}", (None, ""))[0] for key in found}
    assert len(found) > 100


@each_corpus
def test_what_lies_beside_the_recordings_is_none(corpus: str) -> None:
    beside = [file for file in recordings(folder(corpus)) if file.startswith("expected/")]
    assert beside == []


def test_readme_tells_how_many_healthy_recordings_get_a_name() -> None:
    below = [folder(corpus) for corpus in CORPORA]
    streams = sum(len(found) for place in below for found in recordings(place).values())
    deserved = sum(map(len, RIGHT.values()))
    wrong = sum(len(set(names(place)) - set(RIGHT[place.name])) for place in below)
    healthy = streams - deserved
    told = f"{wrong} of {healthy} healthy ones (95 % interval {interval_words(clopper_pearson(wrong, healthy))})"
    assert f"{streams} recorded streams" in README.read_text("utf-8")
    assert told in " ".join(README.read_text("utf-8").split())
