"""The plan of a race, fixed before its start. It holds no secrets; keys are passed beside it (:class:`Keys`)."""

from __future__ import annotations

from msgspec import Struct

from kmon.catalog.credential import Credential
from kmon.model import Scenario, Target
from kmon.retry.policy import Policy
from kmon.stats.alerts import AlertThresholds


class Row(Struct, frozen=True):
    """One scenario at one target, sent once per round."""

    target: Target
    scenario: Scenario


class RacePlan(Struct, frozen=True, kw_only=True, tag="race"):
    """Rows times rounds. ``concurrency`` bounds the runs open at once; None means one round at a time.

    ``stall_s`` is the silence that counts as a stall; with ``learn_stall`` it is the initial value only. ``policy``
    sets the limits of an attempt and what follows a failed one.

    For repeated experiments: ``order_seed`` shuffles the rows of each round reproducibly, ``nonce`` makes every
    request unique so that no prompt cache answers it. ``spacing_s`` is the least time between two requests to one
    target and ``per_target`` bounds its open requests, so that rate limits do not bias the result.
    ``over_s`` spreads the rounds evenly over so many seconds instead. ``first_round`` is the number of the first round
    of a test that goes on with an earlier one.

    A race that is ``fed`` has no rounds of its own: the front end sends the rows of each, at most ``fed`` in all, until
    it says that there are enough. The ``rows`` of the plan then tell which targets may be asked, and with which keys.
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
    over_s: float | None = None
    first_round: int = 1
    per_target: int | None = None
    session: str = ""
    """The session to continue at a gateway; empty for a new one per run."""
    nudge_after_s: float | None = None
    """Silence in s after which a run is nudged once automatically; None: never."""
    alerts: AlertThresholds = AlertThresholds()
    fed: int | None = None
    keep_connections: bool = False
    """Whether the connection of a request is left open, for targets whose requests take one that was used before."""

    @property
    def targets(self) -> tuple[str, ...]:
        """Target names, each once, in order."""
        return tuple(dict.fromkeys(row.target.name for row in self.rows))

    @property
    def asked(self) -> tuple[Target, ...]:
        """Every target that may get a request, fallbacks included."""
        return (*(row.target for row in self.rows), *self.policy.fallback)

    @property
    def scenario(self) -> str:
        """Scenario names, each once, joined with commas."""
        return ",".join(dict.fromkeys(row.scenario.name for row in self.rows))

    @property
    def requests(self) -> int:
        """Upper bound of requests, without manual retries and nudges.

        It includes all turns of a chain, and all retries and fallbacks of the policy.
        """
        if self.fed is not None:
            return self.fed
        return self.rounds * sum(_turns(row.scenario) + self._added(row) for row in self.rows)

    @property
    def max_output_tokens(self) -> int:
        """Upper bound of output tokens over all requests."""
        if self.fed is not None:
            return self.fed * max(row.scenario.max_tokens for row in self.rows)
        return self.rounds * sum(
            (_turns(row.scenario) + self._added(row)) * row.scenario.max_tokens for row in self.rows
        )

    def _added(self, row: Row) -> int:
        """Attempts that the policy may add to a run: retries of each request, and the attempts at fallback targets."""
        elsewhere = len(self.policy.beside(row.target))
        return _turns(row.scenario) * self.policy.retries + elsewhere * (1 + self.policy.retries)


def _turns(scenario: Scenario) -> int:
    """Upper bound of requests of one run: a chain may take twice the steps asked for, and one more to answer."""
    return 1 if scenario.chain is None else 2 * scenario.chain.steps + 1


class Keys(Struct, frozen=True):
    """The credential of each target, by the name of the target. Its repr shows names of variables only."""

    by_target: dict[str, Credential]

    def for_target(self, name: str) -> Credential:
        """The credential of the target of that name; an empty one if it needs none."""
        return self.by_target.get(name, Credential())

    @property
    def secrets(self) -> tuple[str, ...]:
        """The values that must not appear in any output."""
        return tuple(dict.fromkeys(secret for held in self.by_target.values() for secret in held.secrets))
