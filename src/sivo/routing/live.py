"""The directory as it is now: one immutable picture that is replaced when the configuration changes.

A change is announced by NOTIFY ``sivo_config`` in the transaction that made it; comparing versions every
:data:`POLL_SECONDS` catches what an announcement missed. Whoever was announced by name is read at once, in front of
the many that a change of the platform makes due. While the database is away the last picture stays in force, and phones
register by it. New calls are taken for :data:`GRACE_S`, the time that a server needs to start again: nobody knows when
anything of later ones could be written down. What is known was asked for :data:`LAST_KNOWN_GOOD_S` ago at most.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from sivo.base import logs
from sivo.base.clock import Clock, SystemClock
from sivo.base.errors import SivoError
from sivo.config.kinds import PLATFORM_ID
from sivo.db.scopes import Database, unavailable
from sivo.routing.directory import Directory, TenantPicture
from sivo.routing.loader import Loader

CHANNEL = "sivo_config"
#: Between two comparisons of versions: with the reading itself below the 3 s that a lost announcement may cost.
POLL_SECONDS = 2.5
#: After a reading that failed.
RETRY_SECONDS = 0.5
#: How old what is known may be for a new call, when the database cannot be asked.
LAST_KNOWN_GOOD_S = 60.0
#: How long the database may be away before new calls are turned away, and how long an answer of it may take.
GRACE_S = 3.0
ANSWER_SECONDS = 5.0
#: How long a new call waits for the database when announcements do not come.
ASK_SECONDS = 1.0
#: Tenants that are read before the next picture stands and before who was announced meanwhile gets its turn.
_SLICE = 20
log = logs.get("routing")


class LiveDirectory:
    """Keeps :attr:`current` up to date from :meth:`start` to :meth:`stop`."""

    def __init__(self, loader: Loader, clock: Clock | None = None) -> None:
        self.current = Directory()
        self._loader = loader
        self._clock = clock or SystemClock()
        self._due: set[UUID] = set()
        self._all_due = True
        self._platform: int | None = None
        self._wake = asyncio.Event()
        self._reading = asyncio.Lock()
        #: Monotonic seconds of the last comparison with the database.
        self._compared_at = float("-inf")
        #: Monotonic seconds since when the database has not answered; None: it does.
        self._away_since: float | None = None
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

    # --- for new calls ---

    @property
    def told(self) -> bool:
        """Whether changes are announced as they are made. If not, :meth:`ask` before each new call."""
        return self._loader.told

    @property
    def too_old(self) -> bool:
        """Whether what is known is older than a new call may rely on, or the call could not be written down."""
        now = self._clock.monotonic()
        return self.gone or now - self._compared_at > LAST_KNOWN_GOOD_S

    @property
    def gone(self) -> bool:
        """Whether the database has been away for so long that nobody needs to ask it."""
        return self._away_since is not None and self._clock.monotonic() - self._away_since > GRACE_S

    async def ask(self) -> None:
        """Compare with the database now, for :data:`ASK_SECONDS` at most; without an answer all stays as it is."""
        try:
            await asyncio.wait_for(self.refresh(), ASK_SECONDS)
        except (SivoError, TimeoutError) as error:
            log.warning("a new call meets the last known configuration", cause=type(error).__name__)

    # --- keeping up ---

    async def refresh(self) -> None:
        """Replace the pictures of all tenants whose version moved, and of those announced as changed."""
        async with self._reading:
            await self._read_announced()
            await self._compare()

    async def _read_announced(self) -> None:
        while self._due:
            batch = [self._due.pop() for _ in range(min(_SLICE, len(self._due)))]
            await self._read(batch)

    async def _compare(self) -> None:
        everything, self._all_due = self._all_due, False
        try:
            versions = await asyncio.wait_for(self._loader.versions(), ANSWER_SECONDS)
        except (SivoError, TimeoutError) as error:
            self._all_due |= everything
            self._missed()
            raise error if isinstance(error, SivoError) else unavailable(error) from error
        self._away_since = None
        platform = versions.pop(PLATFORM_ID, None)
        everything |= platform != self._platform
        self._platform = platform
        known, now = self.current.pictures, datetime.now(UTC)
        moved = [id for id, version in versions.items() if everything or _is_stale(known.get(id), version, now)]
        gone = known.keys() - versions.keys()
        if gone:
            self._swap({}, gone)
        for first in range(0, len(moved), _SLICE):
            try:
                await self._read_announced()
                await self._read(moved[first : first + _SLICE])
            except SivoError:
                self._due |= set(moved[first:])
                raise
        self._compared_at = self._clock.monotonic()

    def _missed(self) -> None:
        if self._away_since is None:
            self._away_since = self._clock.monotonic()

    async def _read(self, tenants: list[UUID]) -> None:
        try:
            read = {id: await self._load(id) for id in sorted(tenants)}
        except SivoError as error:
            self._due |= set(tenants)
            if error.where == "database":
                self._missed()
            raise
        self._swap({id: one for id, one in read.items() if one is not None}, [id for id in read if read[id] is None])
        log.info("directory refreshed", tenants=len(self.current.pictures), changed=len(read))

    def _swap(self, read: dict[UUID, TenantPicture], gone: Iterable[UUID]) -> None:
        pictures = {**self.current.pictures, **read}
        for tenant_id in gone:
            pictures.pop(tenant_id, None)
        self.current = Directory(pictures.values())
        for watcher in self._watchers:
            watcher({*read, *gone})

    async def _load(self, tenant_id: UUID) -> TenantPicture | None:
        try:
            return await self._loader.load(tenant_id)
        except Exception as error:
            if isinstance(error, SivoError) and error.code == "UNAVAILABLE":
                raise
            # One tenant that cannot be read must not keep all others from what they changed.
            log.error("a tenant cannot be loaded", tenant=str(tenant_id), error=f"{type(error).__name__}: {error}")
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
        pause = 0.0
        while True:
            try:
                await asyncio.wait_for(self._wake.wait(), pause)
            except TimeoutError:
                pass
            self._wake.clear()
            try:
                async with self._reading:
                    await self._read_announced()
                    if self._all_due or self._until_comparison() <= 0:
                        await self._compare()
                pause = max(0.01, self._until_comparison())
            except SivoError as error:
                log.warning("directory is not refreshed", error=error.code)
                pause = RETRY_SECONDS

    def _until_comparison(self) -> float:
        return self._compared_at + POLL_SECONDS - self._clock.monotonic()


def _is_stale(picture: TenantPicture | None, version: int, now: datetime) -> bool:
    if picture is None or picture.tenant.version != version:
        return True
    return picture.stale_at is not None and picture.stale_at <= now
