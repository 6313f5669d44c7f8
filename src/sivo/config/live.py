"""Configuration documents as they are now, kept in the memory of an ``api`` process.

A document is kept from the first time it is asked for until its tenant or the platform changes, which NOTIFY tells
within milliseconds; comparing versions every :data:`POLL_SECONDS` catches what a lost notification did not tell. While
notifications do not come at all, the version is asked for before each use. Without a database, what was sure within the
last :data:`LAST_KNOWN_GOOD_S` is still shown.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec

from sivo.base import logs
from sivo.base.clock import Clock
from sivo.base.errors import SivoError
from sivo.config.changes import CHANNEL
from sivo.config.kinds import PLATFORM_ID
from sivo.db.scopes import Database

#: Between two comparisons of versions: with the reading itself below the 3 s that a lost notification may cost.
POLL_SECONDS = 2.5
#: How old a document may be when the database cannot be asked.
LAST_KNOWN_GOOD_S = 60.0
#: Documents that are kept; beyond it the one that nobody asked for longest goes.
CAPACITY = 4_096
_log = logs.get("config")

#: The encoded document and its entity tag.
Shown = tuple[bytes, str]
Read = Callable[[], Awaitable[tuple[dict[str, Any], str]]]


@dataclass(slots=True)
class _Kept:
    shown: Shown
    #: Versions of the chain and of the platform that it was read at, or a little before.
    versions: tuple[int | None, int | None]
    sure_at: float


class LiveDocuments:
    """A bounded store of documents by chain (tenant or platform) and by what else they depend on."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._kept: OrderedDict[tuple[UUID, Hashable], _Kept] = OrderedDict()
        #: Counts changes: what was read before one is not kept after it.
        self._generation = 0
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen for changes and compare versions until :meth:`stop`."""
        await self._database.listen(CHANNEL, self._announced)
        self._task = asyncio.create_task(self._compare_for_ever(), name="config-live")

    async def stop(self) -> None:
        """Keep nothing up to date any more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def get(self, chain: UUID, also: Hashable, read: Read) -> Shown:
        """The document of ``chain`` for ``also`` (role, scope, …), by ``read`` when what is kept is not sure.

        Raises what ``read`` raises; UNAVAILABLE only when nothing is kept that was sure a minute ago.
        """
        kept = self._kept.get((chain, also))
        if kept is not None:
            if self._database.listening:
                self._kept.move_to_end((chain, also))
                return kept.shown
            if await self._still_true(chain, kept):
                return kept.shown
        generation = self._generation
        versions = await self._versions([chain, PLATFORM_ID])
        document, tag = await read()
        shown = (msgspec.json.encode(document), tag)
        if generation == self._generation:
            pair = (versions.get(chain), versions.get(PLATFORM_ID))
            self._kept[chain, also] = _Kept(shown, pair, self._clock.monotonic())
            while len(self._kept) > CAPACITY:
                self._kept.popitem(last=False)
        return shown

    def changed(self, chain: UUID) -> None:
        """A change-set of ``chain`` was committed, by this process or by another."""
        self._generation += 1
        if chain == PLATFORM_ID:
            self._kept.clear()
            return
        for place in [place for place in self._kept if place[0] == chain]:
            del self._kept[place]

    async def _still_true(self, chain: UUID, kept: _Kept) -> bool:
        """Whether what is kept is what the database holds; without an answer, whether that was so a minute ago."""
        try:
            now = await self._versions([chain, PLATFORM_ID])
        except SivoError as error:
            if error.code == "UNAVAILABLE" and self._clock.monotonic() - kept.sure_at <= LAST_KNOWN_GOOD_S:
                return True
            raise
        if (now.get(chain), now.get(PLATFORM_ID)) != kept.versions:
            return False
        kept.sure_at = self._clock.monotonic()
        return True

    async def _versions(self, chains: list[UUID]) -> dict[UUID, int]:
        async with self._database.platform("config: versions") as connection:
            rows = await connection.fetch("select id, config_version from tenant where id = any($1)", chains)
        return {row["id"]: row["config_version"] for row in rows}

    def _announced(self, payload: str) -> None:
        """NOTIFY came; an empty payload means that some may have been missed."""
        try:
            self.changed(UUID(str(json.loads(payload)["tenant"])))
        except (ValueError, KeyError, TypeError):
            self.changed(PLATFORM_ID)

    async def _compare_for_ever(self) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            with contextlib.suppress(SivoError):
                await self._compare()

    async def _compare(self) -> None:
        if not self._kept:
            return
        now = await self._versions([*{chain for chain, _also in self._kept}, PLATFORM_ID])
        platform, at = now.get(PLATFORM_ID), self._clock.monotonic()
        for (chain, _also), kept in list(self._kept.items()):
            if (now.get(chain), platform) == kept.versions:
                kept.sure_at = at
            else:
                _log.info("a change was not announced", tenant=str(chain))
                self.changed(chain)
