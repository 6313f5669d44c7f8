"""The product's vendor simulators in the test's own process: scripts and ledgers at hand, reached over the network."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sivo.simulators import role
from sivo.simulators.script import World


@dataclass
class Vendors:
    """All vendors on one port of loopback."""

    world: World
    port: int

    @property
    def url(self) -> str:
        """Base URL of every vendor."""
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def serve(ports: range) -> AsyncIterator[Vendors]:
    """Serve on a free port of ``ports``."""
    world = World(anyone=False)
    for port in ports:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                continue
        try:
            async with role.serving(world, port=port):
                yield Vendors(world, port)
                return
        except OSError:
            continue
    raise OSError(f"no free port in {ports}")
