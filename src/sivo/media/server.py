"""The Unix socket on which a media process takes commands from ``call``: one connection at a time, newest wins."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from pathlib import Path
from typing import cast

import msgspec

from sivo.base import logs
from sivo.media import protocol as wire
from sivo.media.commands import Commands
from sivo.media.process import SLOW_S, MediaProcess, Parts

#: A ``call`` that reads this slowly gets no more notes, and at the second bound its connection is closed: facts stay
#: in the sessions and are sent again.
_NOTES_UP_TO = 1 * 1024 * 1024
_AT_MOST = 16 * 1024 * 1024
log = logs.get("media")


class _Line(asyncio.Protocol):
    """One connection from ``call``."""

    def __init__(self, server: MediaServer) -> None:
        self._server = server
        self._deframer = wire.Deframer()
        self._transport: asyncio.WriteTransport | None = None
        #: What is said while commands are carried out that came together: it goes out together, too.
        self._said: list[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods but not the base class.
        self._transport = cast(asyncio.WriteTransport, transport)
        self._server.connected(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._server.disconnected(self)

    def data_received(self, data: bytes) -> None:
        said = self._said = []
        try:
            for body in self._deframer.feed(data):
                self._server.command(wire.command_decoder.decode(body), self)
        except (ValueError, msgspec.DecodeError) as error:
            log.error("call speaks garbage; the line is closed", error=str(error))
            self.close()
        finally:
            self._said = None
            if said and self._transport is not None and not self._transport.is_closing():
                self._transport.write(b"".join(said))

    def send(self, event: wire.Event) -> None:
        """Write one message, or let it be when the line is gone or clogged."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        waiting = transport.get_write_buffer_size()
        if waiting > _AT_MOST:
            log.error("call does not read; the line is closed", waiting=waiting)
            transport.abort()
        elif waiting <= _NOTES_UP_TO or not isinstance(event, wire.Note):
            if self._said is None:
                transport.write(wire.encode(event))
            else:
                self._said.append(wire.encode(event))

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()


class MediaServer:
    """A media process and its line to ``call``."""

    def __init__(self, index: int, parts: Parts) -> None:
        self._index = index
        self._line: _Line | None = None
        self.process = MediaProcess(parts, self._emit)
        self._commands = Commands(self.process)
        self._server: asyncio.Server | None = None

    async def start(self, path: Path) -> None:
        """Listen on ``path`` (mode 0600; a stale socket file is replaced) and start the clock."""
        self._server = await asyncio.get_running_loop().create_unix_server(lambda: _Line(self), sock=_listen(path))
        self.process.ticker.start()

    async def stop(self) -> None:
        """Take no more commands, end all sessions with their journals on disk, hang up."""
        assert self._server is not None
        self._server.close()
        self.process.draining = True
        await self.process.shut_down("shutdown")
        self.process.ticker.stop()
        if self._line is not None:
            self._line.close()

    def connected(self, line: _Line) -> None:
        """A new line: say hello, send what was not acknowledged; an older line is closed."""
        previous, self._line = self._line, line
        if previous is not None:
            log.warning("a second connection from call; the first is closed")
            previous.close()
        process = self.process
        line.send(
            wire.Hello(
                index=self._index, pid=os.getpid(), call_cap=process.parts.call_cap, sessions=list(process.sessions)
            )
        )
        for fact in process.call_back():
            line.send(fact)

    def disconnected(self, line: _Line) -> None:
        """A line is gone; if it was the one in use, sessions become orphans."""
        if line is self._line:
            self._line = None
            self.process.call_gone()

    def command(self, command: wire.Command, line: _Line) -> None:
        """Carry out a command and answer on the line it came from."""
        begun = time.monotonic()
        self._commands.execute(command, line.send)
        held = time.monotonic() - begun
        if held > SLOW_S and not isinstance(command, wire.Drain):
            session = self.process.sessions.get(command.session)
            if session is not None:
                session.slow(type(command).__name__, held * 1000)

    def _emit(self, event: wire.Fact | wire.Note) -> None:
        if self._line is not None:
            self._line.send(event)


def _listen(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    mask = os.umask(0o177)
    try:
        sock.bind(str(path))
    finally:
        os.umask(mask)
    return sock
