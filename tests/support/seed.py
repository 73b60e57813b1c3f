"""The field report's experiment as values: Kimi on Bedrock against two controls and the same model elsewhere."""

from collections.abc import Collection, Iterator, Sequence

from kmon.model import DEFAULT_DIALECT, Target
from kmon.stats.outcome import OutcomeName
from kmon.stats.trial import Trial


def target(name: str, model: str, dialect: str = DEFAULT_DIALECT, base_url: str = "https://x.example/v1") -> Target:
    return Target(name=name, provider=name.split("/")[0], model=model, dialect=dialect, base_url=base_url)


KIMI = target("bedrock/kimi-k2.5", "moonshotai.kimi-k2.5", "converse")
MISTRAL = target("bedrock/mistral-large-3", "mistral.mistral-large-3-675b-instruct", "converse")
NOVA = target("bedrock/nova-pro", "amazon.nova-pro-v1:0", "converse")
OPENROUTER = target("openrouter", "moonshotai/kimi-k2.5")
ALL = (KIMI, MISTRAL, NOVA, OPENROUTER)
FAILING = (1, 2, 3, 5)
"""The tests that timed out in the report: two episodes."""
SCATTERED = (1, 4, 7, 9)
"""As many failures, each an episode of its own."""


def run(
    of: Target, round_number: int, outcome: OutcomeName = "pass", scenario: str = "tool-result", ttft_s: float = 0.5
) -> Trial:
    """A run with the times that go with its outcome; a timeout is after 30 s of nothing."""
    times: dict[str, float | None]
    if outcome == "timeout-before-first-token":
        times = {"ttft_s": None, "max_gap_s": 30.0}
    else:
        times = {"ttft_s": ttft_s, "max_gap_s": 0.1}
    duration_s = 30.0 if outcome == "timeout-before-first-token" else 2.0
    return Trial(target=of.name, scenario=scenario, round=round_number, outcome=outcome, duration_s=duration_s, **times)


def experiment(
    rounds: int = 10, failing: Collection[int] = FAILING, targets: Sequence[Target] = ALL, *, bad: Target = KIMI
) -> Iterator[Trial]:
    """All rounds of the experiment; the pattern of failures repeats every ten rounds."""
    for number in range(1, rounds + 1):
        for of in targets:
            fails = of is bad and (number - 1) % 10 + 1 in failing
            yield run(of, number, "timeout-before-first-token" if fails else "pass")
