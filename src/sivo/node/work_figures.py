"""What waits for the worker: due rows of every queue, and the journals of this node; looked at now and then."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from sivo.base.clock import Clock
from sivo.base.settings import Settings
from sivo.db.scopes import Database
from sivo.events import outbox
from sivo.mail import rows as mail
from sivo.media.journal import SUFFIX
from sivo.monitoring import declared as d
from sivo.monitoring.book import Book, Reading
from sivo.recording import records
from sivo.webhooks import deliveries

#: Rows that are due, and since when the oldest of them is.
Due = tuple[int, datetime | None]


class WorkFigures:
    """The worker's book. Global queues are the same on every node; recordings and journals are this node's."""

    def __init__(self, settings: Settings, database: Database, clock: Clock, node: str) -> None:
        self.book = Book("worker")
        self._journals = settings.journal_dir
        self._database = database
        self._clock = clock
        self._node = node
        self._due: dict[str, Due] = {}
        self._files: tuple[int, int] | None = None
        self.book.source(self._read)

    async def look(self) -> bool:
        """Ask the database and the disk; a loop of the worker."""
        now = self._clock.now()
        self._files = await asyncio.to_thread(_files, self._journals)
        async with self._database.platform("monitoring: due rows") as conn:
            self._due = {
                "recording": await records.waiting(conn, self._node, now),
                "webhook": await deliveries.waiting(conn, now),
                "mail": await mail.waiting(conn, now),
                "outbox": await outbox.waiting(conn),
            }
        return False

    def failed(self, reason: str) -> None:
        """A round of some loop failed: ``unavailable`` or ``error``."""
        self.book.count(d.WORK_FAULTS, reason=reason)

    async def database(self) -> str:
        """Whether the worker can work."""
        async with self._database.directory() as conn:
            await conn.fetchval("select 1")
        return "up"

    def _read(self) -> Iterator[Reading]:
        now = self._clock.now()
        for queue, (count, oldest) in self._due.items():
            yield d.DUE_ROWS, {"queue": queue}, float(count)
            age = max((now - oldest).total_seconds(), 0.0) if oldest is not None else 0.0
            yield d.DUE_AGE, {"queue": queue}, age
        if self._files is not None:
            yield d.JOURNAL_FILES, {}, float(self._files[0])
            yield d.JOURNAL_BYTES, {}, float(self._files[1])


def _files(folder: Path) -> tuple[int, int]:
    """Number and size of journals; files come and go meanwhile."""
    count = size = 0
    for path in folder.glob(f"*{SUFFIX}") if folder.is_dir() else ():
        try:
            size += path.stat().st_size
        except FileNotFoundError:
            continue
        count += 1
    return count, size
