"""A door between the product and PostgreSQL that a test can shut and open again, as a network or a restart does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit, urlunsplit


class PostgresGate:
    """Forwards a Unix socket to the server's own; ``dsn`` leads through it."""

    def __init__(self, dsn: str, folder: Path) -> None:
        parts = urlsplit(dsn)
        query = parse_qs(parts.query)
        name = f".s.PGSQL.{query['port'][0]}"
        self._target = Path(query["host"][0]) / name
        self._path = folder / name
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.dsn = urlunsplit(parts._replace(query=f"host={quote(str(folder), safe='')}&port={query['port'][0]}"))

    async def open(self) -> None:
        """Let connections through."""
        self._server = await asyncio.start_unix_server(self._forward, self._path)

    async def shut(self) -> None:
        """Cut what is open and refuse what comes."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)
            self._server = None
        for writer in self._writers:
            writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_unix_connection(self._target)
        pair = {writer, far_writer}
        self._writers |= pair
        try:
            await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
        finally:
            self._writers -= pair


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def postgres_gate(dsn: str, folder: Path) -> AsyncIterator[PostgresGate]:
    """An open gate in front of ``dsn``; shut for good when the block ends."""
    gate = PostgresGate(dsn, folder)
    await gate.open()
    try:
        yield gate
    finally:
        await gate.shut()
