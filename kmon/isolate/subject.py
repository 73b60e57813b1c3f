"""What is isolated: the request that fails, the places beside it, and which of its factors are varied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kmon.catalog.credential import host_of
from kmon.engine.plan import Row
from kmon.isolate.factors import FACTORS, Factor
from kmon.isolate.places import Places


@dataclass(frozen=True)
class Subject:
    """``obstacles`` says per factor why it cannot be varied; empty if it can."""

    reported: Row
    places: Places
    factors: tuple[Factor, ...]
    obstacles: Mapping[str, str]
    checked: bool = True
    """Whether the scenario's check decides, too: for all requests alike, the one as reported included."""

    @property
    def not_varied(self) -> dict[str, str]:
        """Factors that are not varied, with the reason."""
        varied = {factor.name for factor in self.factors}
        return {
            factor.name: self.obstacles[factor.name] or "left out" for factor in FACTORS if factor.name not in varied
        }

    def changed(self, factor: Factor) -> str:
        """What stands in the place of the factor, with the target that is asked then."""
        targets = {
            "elsewhere": self.places.elsewhere,
            "other-model": self.places.other_model,
            "dialect": self.places.other_dialect,
        }
        target = targets.get(factor.name)
        if target is None:
            return factor.changed
        return f"{factor.changed}: {target.name} ({target.model}, {target.dialect}) at {host_of(target.base_url)}"
