"""A node's call role with real PostgreSQL, a real media process and a provisioned tenant."""

from __future__ import annotations

import asyncio
import audioop
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from sivo.base.clock import SystemClock
from sivo.base.settings import Settings
from sivo.calls.node import CallNode
from sivo.config.change import Author, SetKey
from sivo.config.kinds import PLATFORM_ID
from sivo.config.provision import create_tenant
from sivo.config.resources import Resources
from sivo.db.scopes import Database
from sivo.media import journal
from sivo.vault.kek import FileKek
from sivo.vault.vault import Vault
from support.raw_phone import RawPhone

CHILD = Path(__file__).with_name("call_media_child.py")
AUTHOR = Author("test", "superadmin")
PASSWORD = "correct-horse-battery"
DID = "+34910000001"
DID_TO_EXTENSION = "+34910000002"


@dataclass
class House:
    """Everything that a test of calls needs."""

    settings: Settings
    database: Database
    vault: Vault
    resources: Resources
    node: CallNode
    tenant: UUID = PLATFORM_ID
    domain: str = ""
    ids: dict[str, UUID] = field(default_factory=dict)
    media: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)
    phones: list[RawPhone] = field(default_factory=list)
    author: Author = AUTHOR
    #: The test did to ``node`` what a kill does: there is nothing left to stop in good order.
    node_killed: bool = False

    async def kill_node(self) -> None:
        """What ``kill -9`` leaves of the call role: its sockets closed, nothing more said and nothing written."""
        self.node_killed = True
        services = self.node.services
        await services.recorder.stop()
        await services.sip.close()
        await services.media.stop()

    @property
    def sip(self) -> tuple[str, int]:
        """Where SIP is served."""
        return self.settings.sip_host, self.settings.sip_port

    async def create(self, kind: str, body: dict[str, Any]) -> UUID:
        """Make a resource of the tenant."""
        made = await self.resources.create(self.tenant, kind, body, author=AUTHOR, reason="test")
        return made.resource.id

    async def set(self, key: str, value: Any) -> None:
        """Set a key of the tenant."""
        await self.resources.apply(self.tenant, AUTHOR, "test", [SetKey(key, value)])

    async def phone(self, user: str = "100", password: str = PASSWORD, host: str = "127.0.0.1") -> RawPhone:
        """A phone of the tenant."""
        made = await RawPhone.open(user, self.domain, password, self.sip, host)
        self.phones.append(made)
        return made

    def start_media(self, index: int = 0) -> None:
        """Start media process ``index``."""
        env = os.environ | {
            "SIVO_HOME": str(self.settings.home),
            "SIVO_MEDIA_PROCESSES": str(self.settings.media_processes),
            "SIVO_RTP_PORT_MIN": "33100",
            "SIVO_RTP_PORT_MAX": "33299",
            "SIVO_MEDIA_CALL_CAP": str(self.settings.media_call_cap),
        }
        self.media[index] = subprocess.Popen([sys.executable, str(CHILD), str(index)], env=env)

    def stop_media(self, index: int = 0, how: int = signal.SIGTERM) -> None:
        """Stop or kill media process ``index``."""
        process = self.media.pop(index, None)
        if process is not None:
            process.send_signal(how)
            process.wait(10)

    async def fetch(self, query: str, *values: Any) -> list[dict[str, Any]]:
        """Rows as the tenant sees them."""
        async with self.database.tenant(self.tenant) as conn:
            return [dict(row) for row in await conn.fetch(query, *values)]

    async def until(self, query: str, *values: Any, timeout: float = 5.0) -> dict[str, Any]:
        """The first row that ``query`` gives, waited for."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            rows = await self.fetch(query, *values)
            if rows:
                return rows[0]
            await asyncio.sleep(0.05)
        raise AssertionError(f"no row for {query!r}: {await self.fetch('select * from call')}")

    async def record(self, call: dict[str, Any]) -> tuple[bytes, bytes]:
        """Both channels of a call's journal as PCM16: the caller's, the other side's."""
        path = Path(call["journal_path"])
        key = await self.vault.open(self.tenant, journal.KEY_PURPOSE, journal.read_header(path).key_sealed)
        frames = list(journal.read(path, key).frames())
        left, right = (b"".join(getattr(frame, name) for frame in frames) for name in ("caller", "agent"))
        return audioop.ulaw2lin(left, 2), audioop.ulaw2lin(right, 2)

    async def settled(self, check: Callable[[], bool], timeout: float = 5.0) -> None:
        """Wait until ``check`` is true."""
        deadline = time.monotonic() + timeout
        while not check():
            assert time.monotonic() < deadline, "did not come true in time"
            await asyncio.sleep(0.02)

    async def second_tenant(self, slug: str, number: str, cidr: str) -> UUID:
        """Another tenant with a trunk on ``cidr`` and an agent behind ``number``."""
        first = self.tenant
        row = await create_tenant(self, slug, slug, "pro", AUTHOR)
        self.tenant = row.id
        try:
            trunk = await self.create("trunk", {"name": "carrier", "cidrs": [cidr]})
            agent = await self.create("ai_agent", {"name": "Bob", "greeting": "200", "language": "en"})
            target = {"kind": "ai_agent", "id": str(agent)}
            await self.create("did", {"number": number, "trunk": str(trunk), "target": target})
        finally:
            self.tenant = first
        return row.id

    async def provision(self) -> None:
        """One tenant: two extensions, a trunk, two DIDs, an agent, both policies."""
        row = await create_tenant(self, "acme", "Acme", "pro", AUTHOR)
        self.tenant = row.id
        self.domain = f"acme.{self.settings.sip_domain_suffix}"
        for key in ("ai.stt_provider", "ai.tts_provider", "ai.llm_base_url"):
            await self.set(key, "local")
        ids = self.ids
        for number in ("100", "101"):
            ids[number] = await self.create("extension", {"number": number, "sip_password": PASSWORD})
        ids["trunk"] = await self.create("trunk", {"name": "carrier", "cidrs": ["127.0.0.8/32"]})
        ids["agent"] = await self.create(
            "ai_agent", {"name": "Ada", "greeting": "200", "language": "en", "transfer_to": "101"}
        )
        target = {"kind": "ai_agent", "id": str(ids["agent"])}
        ids["did"] = await self.create("did", {"number": DID, "trunk": str(ids["trunk"]), "target": target})
        target = {"kind": "extension", "id": str(ids["101"])}
        await self.create("did", {"number": DID_TO_EXTENSION, "trunk": str(ids["trunk"]), "target": target})
        ids["recording"] = await self.create("recording_policy", {"name": "all"})
        ids["transcription"] = await self.create("transcription_policy", {"name": "all"})


@asynccontextmanager
async def running_house(settings: Settings, database: Database, processes: int) -> AsyncIterator[House]:
    """A running call role with one tenant and ``processes`` media processes."""
    settings.journal_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings = settings.model_copy(update={"media_processes": processes})
    vault = Vault(database, FileKek.load(settings.kek_file))
    resources = await Resources.open(settings, SystemClock(), database, vault)
    node = CallNode(settings, database, vault)
    made = House(settings, database, vault, resources, node)
    try:
        await made.provision()
        for index in range(processes):
            made.start_media(index)
        await node.start()
        await made.settled(lambda: all(link.ready for link in node.services.media.links), timeout=20)
        yield made
        if not made.node_killed:
            await node.stop()
    finally:
        for phone in made.phones:
            phone.close()
        for index in list(made.media):
            made.stop_media(index, signal.SIGKILL)
