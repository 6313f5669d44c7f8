"""Everything of the role ``call`` put together, with its order of starting and stopping."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from sivo.base import logs
from sivo.base.clock import Clock, SystemClock
from sivo.base.errors import SivoError
from sivo.base.node import node_id
from sivo.base.settings import Settings
from sivo.calls import facts
from sivo.calls import inputs as ev
from sivo.calls.b2bua import B2bua
from sivo.calls.bans import CHANNEL, BanBook
from sivo.calls.control import Control
from sivo.calls.draining import Draining
from sivo.calls.effects import Effects
from sivo.calls.ending import Ending
from sivo.calls.exchange import Exchange
from sivo.calls.figures import CallFigures
from sivo.calls.gate import Gate
from sivo.calls.hep_export import HepExport
from sivo.calls.ladder_keeper import LadderKeeper
from sivo.calls.listeners import listen
from sivo.calls.live_feed import LiveFeed
from sivo.calls.media_link import MediaPool
from sivo.calls.orders import OrderDesk
from sivo.calls.orphans import Orphans
from sivo.calls.records import Recorder
from sivo.calls.recovery import Recovery
from sivo.calls.registering import Registering
from sivo.calls.services import Services
from sivo.calls.setup import Setup
from sivo.calls.switchboard import Switchboard
from sivo.calls.trunk_watch import TrunkWatch
from sivo.calls.watching import Watching
from sivo.db.scopes import Database
from sivo.edge.keys import EdgeKeys
from sivo.edge.trust import Edge
from sivo.routing import bindings
from sivo.routing.fuse import Fuse
from sivo.routing.guessing import Guessing
from sivo.routing.live import LiveDirectory
from sivo.routing.loader import Loader
from sivo.routing.registrar import Registrar
from sivo.sip.digest_server import DigestServer
from sivo.sip.ladder import LadderEntry
from sivo.sip.udp import SipUdp
from sivo.tenants import shredding
from sivo.vault.vault import Vault

#: Seconds: for media to be there at the start; for calls to say goodbye and for rows to be written at the end.
MEDIA_WAIT = 10.0
BYE_WAIT = 4.0
WRITE_WAIT = 10.0
EXPIRY_SECONDS = 30.0
log = logs.get("calls")


class CallNode:
    """The call role of one node."""

    def __init__(self, settings: Settings, database: Database, vault: Vault, clock: Clock | None = None) -> None:
        clock = clock or SystemClock()
        self._database = database
        self._vault = vault
        self._settings = settings
        self._ladder = LadderKeeper()
        self.exchange = Exchange(self._ladder)
        self._live = LiveFeed(self.exchange, settings)
        self.figures = CallFigures()
        self.switchboard = Switchboard(self.exchange, self._live, self.figures)
        self.services = Services(
            settings=settings,
            clock=clock,
            database=database,
            vault=vault,
            media=MediaPool(_media_paths(settings), self.switchboard),
            directory=LiveDirectory(Loader(database, vault, settings)),
            registrar=Registrar(),
            recorder=Recorder(database),
            fuse=Fuse(settings.carrier_calls_per_minute, settings.carrier_calls_at_a_time),
            figures=self.figures,
            draining=Draining(settings, lambda: self.exchange.running + self.services.recorder.backlog),
        )
        self._registering = Registering(self.services)
        self._ending = Ending(clock, self.switchboard.forget, self.switchboard.salvage)
        self._effects = Effects(self.services, self.exchange, self._ending)
        self._orders = OrderDesk(database, clock, Control(self.exchange, self._effects.transfers, self._effects.guests))
        self._setup = Setup(self.services, self.exchange, self._effects)
        self.switchboard.recovery = Recovery(
            database, vault, self.services.recorder, clock, settings.journal_dir, node_id(settings)
        )
        self._trunks = TrunkWatch(self.services)
        self.services.trunk_up = self._trunks.is_up
        self._hep = HepExport(settings, clock, self._ladder.owner)
        self.watching = Watching(self.services, self.exchange, self._trunks, self._hep)
        self.figures.book.source(self.watching.read)
        self._rounds: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Read what must be known, then answer the phone."""
        services = self.services
        secret = await self._vault.platform_item("sip-nonce", lambda: os.urandom(32))
        services.edge = Edge((await EdgeKeys.open(self._vault)).token, self._settings.sip_edges)
        guessing = Guessing()
        book = BanBook(services.recorder, services.clock, guessing)
        gate = Gate(services.directory, DigestServer(secret), guessing, book.banned, services.edge)
        user = B2bua(services, gate, self._setup, self._registering, self.exchange, self._effects)
        advertised = self._settings.advertised_host
        services.sip = SipUdp(user, services.clock, tap=self._tap, advertised_host=advertised)
        services.sip.glance = gate.glance
        await self._database.listen(CHANNEL, book.lifted)
        await shredding.follow(self._database, self._vault)
        await services.directory.start(self._database)
        services.directory.watch(self._policies_changed)
        services.registrar.load(await bindings.load(self._database, services.clock.now()))
        services.directory.watch(self._registering.accounts_changed)
        self._registering.accounts_changed(set(services.directory.current.pictures))
        assert self.switchboard.recovery is not None
        remains = await self.switchboard.recovery.look()
        services.recorder.start()
        services.media.start()
        await listen(services.sip, self._settings)
        await self._hep.start(services.sip.contact_for)
        await self._orders.start()
        await self._live.start()
        orphans = Orphans(services, self._ladder, remains)
        orphans.hang_up()
        if not await services.media.wait_ready(MEDIA_WAIT):
            log.warning("no media process yet; calls get 503 until there is one")
        await self.switchboard.orphans_closed(BYE_WAIT)
        await self.switchboard.recovery.finish(remains, orphans.unknown)
        self._trunks.start()
        self._rounds = [
            asyncio.create_task(self._expire(), name="registrar-expiry"),
            asyncio.create_task(services.draining.run(), name="draining"),
        ]

    async def stop(self) -> None:
        """BYE to every call, everything written, then silence. Bounded."""
        services = self.services
        self._setup.closed = True
        for call in self.exchange.calls:
            call.post(ev.ShuttingDown())
        await self._effects.settle(BYE_WAIT)
        await self.switchboard.settle(BYE_WAIT)
        await self._until_quiet(BYE_WAIT)
        if not await services.recorder.drain(WRITE_WAIT):
            log.error("rows could not be written before the end", backlog=services.recorder.backlog)
        for task in self._rounds:
            task.cancel()
        await self._trunks.stop()
        await self._live.stop()
        await services.sip.close()
        await self._hep.stop()
        await services.media.stop()
        await services.directory.stop()
        await services.recorder.stop()
        log.info("sip stopped")

    async def _until_quiet(self, timeout: float) -> None:
        """Wait until every phone has answered its BYE; one that is gone does not hold up the end."""
        for _ in range(round(timeout / 0.02)):
            if all(call.quiet for call in self.exchange.calls):
                return
            await asyncio.sleep(0.02)

    def _tap(self, entry: LadderEntry) -> None:
        """Every SIP message: into its call's ladder, into the figures, and to the collector."""
        self._ladder.tap(entry)
        self.figures.message(entry)
        self._hep.tap(entry)

    def _policies_changed(self, tenants: set[Any]) -> None:
        for call in self.exchange.calls:
            if call.tenant.id in tenants:
                self._effects.policies_changed(call)

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(EXPIRY_SECONDS)
            self._registering.expire()
            try:
                async with self._database.platform("calls: expired words") as conn:
                    await facts.expire_words(conn, self.services.clock.now())
            except SivoError as error:
                log.warning("expired words are still there", error=error.code)


def _media_paths(settings: Settings) -> list[Any]:
    count = settings.media_processes or os.cpu_count() or 1
    return [settings.media_socket(index) for index in range(count)]
