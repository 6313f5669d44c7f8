"""A Unix-socket proxy in front of PostgreSQL that a test can take away and bring back."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from urllib.parse import parse_qs, urlsplit, urlunsplit


class PgProxy:
    """Connections to :attr:`dsn` reach the server behind it while the proxy is up."""

    def __init__(self, dsn: str) -> None:
        parts = urlsplit(dsn)
        query = parse_qs(parts.query)
        self._behind = Path(query["host"][0]) / f".s.PGSQL.{query['port'][0]}"
        self._folder = tempfile.TemporaryDirectory(prefix="sivo-pgproxy-")
        self._socket = Path(self._folder.name) / ".s.PGSQL.5432"
        self.dsn = urlunsplit(parts._replace(query=f"host={self._folder.name}&port=5432"))
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def up(self) -> None:
        """The database is there."""
        self._server = await asyncio.start_unix_server(self._serve, str(self._socket))

    async def down(self) -> None:
        """The database is gone, in the middle of whatever was going on."""
        assert self._server is not None
        self._server.close()
        self._socket.unlink(missing_ok=True)
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def close(self) -> None:
        """For good."""
        await self.down()
        self._folder.cleanup()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_unix_connection(str(self._behind))
        self._writers |= {writer, server_writer}
        await asyncio.gather(_pump(reader, server_writer), _pump(server_reader, writer), return_exceptions=True)
        self._writers -= {writer, server_writer}


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
