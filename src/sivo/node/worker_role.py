"""The role ``worker``: durable jobs, each a row that is claimed, worked off and finished.

Nothing is held here that a kill would lose: a claimed row of a dead worker is claimed again when its claim runs out, or
as soon as the node has a worker again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from sivo.audit import log_chain
from sivo.audit.keys import LedgerKey
from sivo.audit.retention import Retention
from sivo.audit.sealer import Sealer
from sivo.base import logs
from sivo.base.clock import SystemClock
from sivo.base.errors import SivoError
from sivo.base.node import node_id
from sivo.base.settings import Settings
from sivo.config.resources import Resources, checkpoint_folder
from sivo.db.connect import connect
from sivo.identity.forgotten import Forgotten
from sivo.identity.signing_keys import SigningKeys
from sivo.leads.rows import expire_leads
from sivo.mail.post import Post
from sivo.mail.sender import MailSender
from sivo.monitoring.door import open_door
from sivo.node import ready
from sivo.node.work_figures import WorkFigures
from sivo.outbound.client import GuardedClient
from sivo.recording.job import RecordingJobs
from sivo.recording.retention import expire_recordings
from sivo.storage.store import Objects
from sivo.tenants import shredding
from sivo.tenants.erasure import Erasure
from sivo.transcription.retention import expire_transcripts
from sivo.vault import rotation
from sivo.vault.vault import Vault
from sivo.webhooks.sender import Sender

log = logs.get("worker")

#: Seconds between looks while there is nothing to do.
_IDLE_SECONDS = 1.0
_WEBHOOK_IDLE_SECONDS = 0.3
_MAIL_IDLE_SECONDS = 0.5
_RETENTION_SECONDS = 60.0
_FAULT_SECONDS = 2.0
_KEY_SECONDS = 300.0
_AUDIT_SECONDS = 3600.0
_ERASURE_SECONDS = 10.0
_KEK_SECONDS = 2.0
_FIGURES_SECONDS = 5.0


class Loop:
    """Runs one kind of work until there is none, then waits for the idle time."""

    def __init__(self, name: str, work: Callable[[], Awaitable[bool]], idle_seconds: float = _IDLE_SECONDS) -> None:
        self.name = name
        #: Told when a round failed: ``unavailable`` or ``error``.
        self.failed: Callable[[str], None] = lambda reason: None
        self._work = work
        self._idle = idle_seconds

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop`` is set; the piece of work under way is finished first."""
        while not stop.is_set():
            try:
                if await self._work():
                    continue
                wait = self._idle
            except SivoError as error:
                log.warning("work waits", loop=self.name, code=error.code)
                self.failed("unavailable")
                wait = _FAULT_SECONDS
            except Exception:
                # One broken row must not end the role for every tenant; its claim runs out and it is counted.
                log.exception("work failed", loop=self.name)
                self.failed("error")
                wait = _FAULT_SECONDS
            await _pause(stop, wait)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Work until ``stop`` is set, then finish the pieces under way."""
    clock = SystemClock()
    database = await connect(settings)
    client = GuardedClient.from_settings(settings)
    try:
        vault = await Vault.for_node(database, settings)
        store = Objects.local(settings.object_dir)
        recordings = RecordingJobs(database, vault, store, clock, node_id(settings))
        sender = Sender(settings, database, vault, client, clock)
        mail = MailSender(settings, database, vault, clock)
        forgotten = Forgotten(database, vault, Post(settings, vault, clock), clock)

        folders = (checkpoint_folder(settings), log_chain.checkpoint_folder(settings))
        erasure = Erasure(database, vault, store, clock, *folders)
        resources = await Resources.open(settings, clock, database, vault)
        keys = SigningKeys(database, vault, clock)

        async def retention() -> bool:
            gone = await expire_recordings(database, store, clock.now())
            gone += await expire_transcripts(database, clock.now())
            gone += await sender.expire()
            gone += await mail.expire()
            gone += await expire_leads(database, clock.now())
            return gone > 0

        async def wrap_again() -> bool:
            return await rotation.step(database, vault.keyring)

        signer = await LedgerKey.load(vault)
        sealer = Sealer(database, signer, log_chain.checkpoint_folder(settings))
        audit = Retention(database, signer, clock)

        loops = [
            Loop("recordings", recordings.run_once),
            Loop("webhooks", sender.step, _WEBHOOK_IDLE_SECONDS),
            Loop("mail", mail.step, _MAIL_IDLE_SECONDS),
            Loop("forgotten passwords", forgotten.run_once, _MAIL_IDLE_SECONDS),
            Loop("retention", retention, _RETENTION_SECONDS),
            Loop("scheduled changes", resources.proposals.step),
            Loop("signing keys", keys.rotate_if_due, _KEY_SECONDS),
            Loop("audit log", sealer.run_once),
            Loop("audit retention", audit.run_once, _AUDIT_SECONDS),
            Loop("deleted tenants", erasure.run_once, _ERASURE_SECONDS),
            Loop("key-encryption key", wrap_again, _KEK_SECONDS),
        ]
        figures = WorkFigures(settings, database, clock, node_id(settings))
        loops.append(Loop("figures", figures.look, _FIGURES_SECONDS))
        for loop in loops:
            loop.failed = figures.failed
        await shredding.follow(database, vault)
        await recordings.succeed()
        async with open_door(settings, "worker", figures.book, {"database": figures.database}):
            ready.announce()
            await asyncio.gather(*(loop.run(stop) for loop in loops))
        await sender.drain()
    finally:
        await client.close()
        await database.close()
