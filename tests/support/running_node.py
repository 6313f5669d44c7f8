"""A whole node, started as its users start it, with a tenant made through the API."""

from __future__ import annotations

import asyncio
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sivo.demo.client import DemoClient
from sivo.demo.platform import Platform, Ports, free_port
from sivo.demo.provision import DemoTenant, provision
from sivo.demo.receiver import Receiver

#: Where the demo's carrier rings from; the trunk's ACL knows this address only.
CARRIER = "127.0.0.2"


@dataclass
class Node:
    """A running platform and its first tenant."""

    platform: Platform
    client: DemoClient
    tenant: DemoTenant
    receiver: Receiver

    @property
    def proxy(self) -> str:
        """``host:port`` of SIP."""
        return f"127.0.0.1:{self.platform.ports.sip}"


def _ports() -> Ports:
    tcp = [free_port(0, socket.SOCK_STREAM) for _ in range(3)]
    return Ports(http=tcp[0], sip=free_port(0, socket.SOCK_DGRAM), speech=tcp[1], receiver=tcp[2])


@asynccontextmanager
async def running_node(
    media_processes: int = 1, allow: Sequence[str] = (), settings: Mapping[str, str] | None = None
) -> AsyncIterator[Node]:
    """A node on free ports with the demo tenant; stopped, and its data removed, at the end.

    ``allow``: more entries of the operator's outbound allow-list; ``settings``: more ``SIVO_…`` variables.
    """
    home = Path(tempfile.mkdtemp(prefix="sivo-e2e-"))
    receiver = Receiver(secret="whsec_" + "e2e" * 12)
    own = {"SIVO_MEDIA_PROCESSES": str(media_processes), **(settings or {})}
    platform = Platform(home / "home", _ports(), allow, own)
    try:
        await receiver.start(platform.ports.receiver)
        try:
            await platform.start(patience=150.0)
        except RuntimeError as error:
            # The log goes with the home directory, so its end is shown here.
            raise AssertionError(f"{error}\n{platform.log_path.read_text()[-3000:]}") from error
        async with DemoClient(platform.home / "run" / "api.sock") as client:
            tenant = await provision(
                client.call,
                webhook_url=f"http://127.0.0.1:{platform.ports.receiver}/events",
                webhook_secret=receiver.secret,
                caller_host=CARRIER,
            )
            client.tenant_id = tenant.tenant_id
            yield Node(platform, client, tenant, receiver)
    finally:
        await platform.stop()
        await receiver.stop()
        await asyncio.to_thread(shutil.rmtree, home, ignore_errors=True)
