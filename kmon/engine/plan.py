"""What a race will do, decided before it starts. A plan holds no secrets; keys travel beside it (:class:`Keys`)."""

from __future__ import annotations

from msgspec import Struct

from kmon.catalog.credential import Credential
from kmon.model import Scenario, Target
from kmon.retry.policy import Policy
from kmon.stats.alerts import AlertThresholds


class Row(Struct, frozen=True):
    """One line of the race: this scenario, sent to this target, once per round."""

    target: Target
    scenario: Scenario


class RacePlan(Struct, frozen=True, kw_only=True, tag="race"):
    """Rows times rounds. ``concurrency`` bounds the runs open at once; None means one round at a time.

    ``stall_s`` is the silence that is a stall; with ``learn_stall`` only until the target's own gaps have taught more.
    ``policy`` says how long an attempt may take and what follows a failed one.

    For repeated experiments: ``order_seed`` shuffles the rows of each round reproducibly, ``nonce`` makes every
    request unique so that no prompt cache answers it, ``spacing_s`` is the least time between two requests to one
    target and ``per_target`` how many of them may be open at once, so that nobody's rate limit is the finding.
    """

    rows: tuple[Row, ...]
    rounds: int = 1
    concurrency: int | None = None
    stall_s: float = 5.0
    learn_stall: bool = False
    policy: Policy = Policy()
    simulated: bool = False
    order_seed: int | None = None
    nonce: bool = False
    spacing_s: float = 0.0
    per_target: int | None = None
    session: str = ""
    """The session to go on with at a gateway; empty for a fresh one per run."""
    nudge_after_s: float | None = None
    """Nudge a run by itself, once, when it has been silent that long; None leaves it to the user."""
    alerts: AlertThresholds = AlertThresholds()

    @property
    def targets(self) -> tuple[str, ...]:
        """Target names, each once, in order."""
        return tuple(dict.fromkeys(row.target.name for row in self.rows))

    @property
    def asked(self) -> tuple[Target, ...]:
        """Every target that may be asked, fallbacks included."""
        return (*(row.target for row in self.rows), *self.policy.fallback)

    @property
    def scenario(self) -> str:
        """Scenario names, each once, joined with commas."""
        return ",".join(dict.fromkeys(row.scenario.name for row in self.rows))

    @property
    def requests(self) -> int:
        """How many requests the race sends at most if nobody nudges or retries by hand.

        A chain counts its turns; the policy's retries and fallbacks count as if all were needed.
        """
        return self.rounds * sum(_turns(row.scenario) + self._added(row) for row in self.rows)

    @property
    def max_output_tokens(self) -> int:
        """Upper bound of output tokens over all requests."""
        return self.rounds * sum(
            (_turns(row.scenario) + self._added(row)) * row.scenario.max_tokens for row in self.rows
        )

    def _added(self, row: Row) -> int:
        """Attempts that the policy may add to a run: retries of each request, and the targets further down the list."""
        elsewhere = len(self.policy.beside(row.target))
        return _turns(row.scenario) * self.policy.retries + elsewhere * (1 + self.policy.retries)


def _turns(scenario: Scenario) -> int:
    """Requests of one run at most: a chain may take twice the steps asked for, and one more to answer."""
    return 1 if scenario.chain is None else 2 * scenario.chain.steps + 1


class Keys(Struct, frozen=True):
    """What each target is asked with, by the target's name. Never printed: its repr names the variables only."""

    by_target: dict[str, Credential]

    def for_target(self, name: str) -> Credential:
        """What the target of that name is asked with; an empty one where it needs nothing."""
        return self.by_target.get(name, Credential())

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must be shown nowhere."""
        return tuple(dict.fromkeys(secret for held in self.by_target.values() for secret in held.secrets))
