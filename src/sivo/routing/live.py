"""The directory as it is now: one immutable picture that is replaced when the configuration changes.

A change is announced by NOTIFY ``sivo_config`` in the transaction that made it; a poll of the versions catches what an
announcement missed. While the database is away the last picture stays in force.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from sivo.base import logs
from sivo.base.errors import SivoError
from sivo.config.kinds import PLATFORM_ID
from sivo.db.scopes import Database
from sivo.routing.directory import Directory, TenantPicture
from sivo.routing.loader import Loader

CHANNEL = "sivo_config"
POLL_SECONDS = 3.0
log = logs.get("routing")


class LiveDirectory:
    """Keeps :attr:`current` up to date from :meth:`start` to :meth:`stop`."""

    def __init__(self, loader: Loader) -> None:
        self.current = Directory()
        self._loader = loader
        self._due: set[UUID] = set()
        self._all_due = True
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._watchers: list[Callable[[set[UUID]], None]] = []

    def watch(self, watcher: Callable[[set[UUID]], None]) -> None:
        """Call ``watcher`` with the tenants whose picture was replaced."""
        self._watchers.append(watcher)

    async def start(self, database: Database) -> None:
        """Load everything once (raises SivoError when that is impossible), then keep up."""
        await database.listen(CHANNEL, self._announced)
        await self.refresh()
        self._task = asyncio.create_task(self._keep_up(), name="routing-directory")

    async def stop(self) -> None:
        """Stop keeping up."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def refresh(self) -> None:
        """Replace the pictures of all tenants whose version moved, and of those announced as changed."""
        due, self._due = self._due, set()
        everything, self._all_due = self._all_due, False
        try:
            versions = await self._loader.versions()
            known = self.current.pictures
            now = datetime.now(UTC)
            moved = {id for id, version in versions.items() if everything or _is_stale(known.get(id), version, now)}
            changed = (moved | due) & versions.keys() | (known.keys() - versions.keys())
            if not changed:
                return
            pictures = {id: picture for id, picture in known.items() if id in versions}
            for tenant_id in sorted(changed & versions.keys()):
                picture = await self._load(tenant_id)
                if picture is not None:
                    pictures[tenant_id] = picture
        except SivoError:
            self._due |= due
            self._all_due |= everything
            raise
        self.current = Directory(pictures.values())
        log.info("directory refreshed", tenants=len(pictures), changed=len(changed))
        for watcher in self._watchers:
            watcher(changed)

    async def _load(self, tenant_id: UUID) -> TenantPicture | None:
        try:
            return await self._loader.load(tenant_id)
        except SivoError as error:
            if error.code == "UNAVAILABLE":
                raise
            log.error("a tenant cannot be loaded", tenant=str(tenant_id), error=str(error))
            return self.current.pictures.get(tenant_id)

    def _announced(self, payload: str) -> None:
        """NOTIFY came; an empty payload means that some may have been missed."""
        try:
            tenant_id = UUID(str(msgspec.json.decode(payload)["tenant"])) if payload else PLATFORM_ID
        except (msgspec.DecodeError, KeyError, TypeError, ValueError):
            tenant_id = PLATFORM_ID
        if tenant_id == PLATFORM_ID:
            self._all_due = True
        else:
            self._due.add(tenant_id)
        self._wake.set()

    async def _keep_up(self) -> None:
        while True:
            try:
                await asyncio.wait_for(self._wake.wait(), POLL_SECONDS)
            except TimeoutError:
                pass
            self._wake.clear()
            try:
                await self.refresh()
            except SivoError as error:
                log.warning("directory is not refreshed", error=error.code)


def _is_stale(picture: TenantPicture | None, version: int, now: datetime) -> bool:
    if picture is None or picture.tenant.version != version:
        return True
    return picture.stale_at is not None and picture.stale_at <= now
