"""Every recorded stream of the corpus decodes to what the providers' own SDKs make of it.

``KMON_CORPUS`` names the folder; without it this test cannot run and says so. Where an SDK stops at an in-stream error,
kmon reads on, so it is compared with what follows the error as well.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from kmon.findings.recorded import decode
from kmon.recording import Interaction, load
from kmon.recording.decode import Decoded, decodable

CORPUS = os.environ.get("KMON_CORPUS")
pytestmark = pytest.mark.skipif(not CORPUS, reason="KMON_CORPUS is not set: no recorded streams to compare with")

ARGUED: dict[tuple[str, str], str] = {
    (
        "0xPlaygrounds+rig/doubleword/doubleword__error_matrix__invalid_key_streaming.yaml.0",
        "status",
    ): "a bare body does not tell its HTTP status; the recorder's file that did is not in the corpus",
    **{
        (stream, "error"): "kmon adds what the provider behind OpenRouter said"
        for stream in (
            "charmbracelet+fantasy/openrouter/TestOpenRouterCommon__simple_streaming_kimi-k2_wandb.yaml.0",
            "valiot+req_llm/openrouter/openrouter__google_gemini_2_5_flash_lite__object_streaming.json.0",
        )
    },
}
"""Differences from the SDKs' view that are right as they are: (stream, field) to the reason."""

COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")


def streams(corpus: Path) -> dict[str, tuple[Interaction, Decoded]]:
    """All decodable streams by ``<path>.<interaction>``; a ``*.body`` file carries the number in its name."""
    found = {}
    for path in sorted(corpus.glob("*+*/**/*")):
        if path.suffix in (".yaml", ".body"):
            name = path.relative_to(corpus).as_posix()
            for interaction in filter(decodable, load(path)):
                key = name.removesuffix(".body") if path.suffix == ".body" else f"{name}.{interaction.index}"
                found[key] = interaction, decode(name, interaction)
    return found


def wanted(expected: dict[str, Any]) -> dict[str, Any]:
    """The SDK's view of a stream in kmon's words; past an in-stream error, what follows it."""
    past = expected.get("if_read_past_error")
    seen = past or expected
    finishes = past["finish_reasons"] if past else [expected["finish_reason"]]
    view = {
        "status": expected["http_status"],
        "text": seen["text"],
        "finish_reason": next((reason for reason in reversed(finishes) if reason), None),
        "usage": seen["usage"] if "usage" in seen else expected["usage_bedrock_invocation_metrics"],
        "error": _error(expected["error"]),
    }
    view["usage"] = view["usage"] and {key: view["usage"].get(key) for key in COUNTS}
    if "tool_calls" in seen:
        calls = [(call["id"] or "", call["name"] or "", call["arguments"]) for call in seen["tool_calls"]]
        view |= {"tool_calls": calls, "reasoning": seen["reasoning"]}
    if "saw_done" in expected:
        view |= {"done": expected["saw_done"], "chunks": past["chunks"] if past else expected["chunks_before_done"]}
    else:
        view |= {"chunks": expected["stream_frames"]}
    return view


def _error(error: dict[str, Any] | None) -> tuple[str, str] | None:
    if error is None:
        return None
    return error["kind"].replace("_", "-"), error.get("message") or error["body"]["message"]


def told(got: Decoded) -> dict[str, Any]:
    return {
        "status": got.status,
        "text": got.text,
        "reasoning": got.reasoning,
        "tool_calls": [(call.id, call.name, call.arguments) for call in got.tool_calls],
        "finish_reason": got.finish_reason,
        "usage": got.usage and {key: getattr(got.usage, key) for key in COUNTS},
        "done": got.done,
        "chunks": got.chunks,
        "error": got.error and (got.error.kind, got.error.message),
    }


def test_every_recorded_stream_agrees_with_the_sdks() -> None:
    corpus = Path(CORPUS or "")
    found = streams(corpus)
    expected = {
        path.relative_to(corpus / "expected").as_posix().removesuffix(".json"): json.loads(path.read_text())
        for path in sorted((corpus / "expected").rglob("*.json"))
    }
    assert set(found) == set(expected)
    differences = {}
    for stream, view in expected.items():
        interaction, got = found[stream]
        assert hashlib.sha256(interaction.body).hexdigest() == view["body_sha256"], stream
        said = told(got)
        for field, value in wanted(view).items():
            if said[field] != value:
                differences[stream, field] = (said[field], value)
    assert {key: pair for key, pair in differences.items() if key not in ARGUED} == {}
    assert set(ARGUED) <= set(differences)
