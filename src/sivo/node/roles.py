"""The roles of a node, what each needs, and the order in which they stop."""

from __future__ import annotations

import asyncio
import importlib
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sivo.base.settings import Settings

RoleMain = Callable[..., Awaitable[None]]


@dataclass(frozen=True)
class Role:
    """One role: the module that holds its ``run(settings, stop)`` and how long a clean stop may take."""

    name: str
    module: str
    #: Seconds between SIGTERM and SIGKILL. ``call`` has to say BYE and be answered, ``worker`` finishes its job.
    stop_seconds: float
    per_core: bool = False

    def load(self) -> RoleMain:
        """Import the role's entry point (only in the process that runs it)."""
        main: RoleMain = importlib.import_module(self.module).run
        return main


#: In the order in which they are stopped: calls end first, what they leave behind is still taken in.
ROLES: dict[str, Role] = {
    role.name: role
    for role in (
        Role("call", "sivo.calls.role", 8.0),
        Role("media", "sivo.media.role", 5.0, per_core=True),
        Role("worker", "sivo.node.worker_role", 10.0),
        Role("api", "sivo.api.role", 5.0),
        Role("speech", "sivo.speech.role", 3.0),
    )
}


@dataclass(frozen=True)
class Slot:
    """One process to keep alive: a role, and which of its copies."""

    role: Role
    index: int

    @property
    def name(self) -> str:
        return f"{self.role.name}-{self.index}" if self.role.per_core else self.role.name


def slots(settings: Settings) -> list[Slot]:
    """Every process of a node that runs all roles."""
    copies = settings.media_processes or os.cpu_count() or 1
    return [Slot(role, index) for role in ROLES.values() for index in range(copies if role.per_core else 1)]


async def run_role(role: Role, index: int, settings: Settings, stop: asyncio.Event) -> None:
    """Run one role in this process until ``stop`` is set."""
    main = role.load()
    if role.per_core:
        await main(settings, stop, index)
    else:
        await main(settings, stop)
