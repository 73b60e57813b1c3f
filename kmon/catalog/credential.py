"""The secrets one target is asked with. They travel in memory and by pipe, and are never printed."""

from __future__ import annotations

from msgspec import Struct

PUBLIC = frozenset({"AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"})
"""Variables that go along but hold no secret."""


class Credential(Struct, frozen=True):
    """Values by environment-variable name, the one that wins first. Its repr names the variables only."""

    by_env: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Credential({', '.join(sorted(self.by_env))})"

    @property
    def key(self) -> str | None:
        """The key of a target that needs just one."""
        return next(iter(self.secrets), None)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must be shown nowhere."""
        return tuple(value for name, value in self.by_env.items() if name not in PUBLIC)
