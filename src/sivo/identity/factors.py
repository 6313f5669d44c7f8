"""The step between a right password and a full token: a second factor, where the tenant's policy asks for one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from sivo.identity.people import Person


@dataclass(frozen=True, slots=True)
class PendingFactor:
    """A login that is not finished; ``challenge`` is what the client is told instead of a token."""

    challenge: dict[str, Any]


class FactorPolicy(Protocol):
    """Decides, after the password was right, whether ``person`` has to show something else."""

    async def next_step(self, person: Person) -> PendingFactor | None:
        """None: the login is complete."""
        ...


class PasswordOnly:
    """The policy of an installation without second factors."""

    async def next_step(self, person: Person) -> PendingFactor | None:
        return None
