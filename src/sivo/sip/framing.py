"""Messages in a byte stream (RFC 3261 §18.3): cut by Content-Length, keep-alives between (RFC 5626 §3.5.1)."""

from __future__ import annotations

import re

from sivo.sip.errors import SipParseError
from sivo.sip.message import MAX_MESSAGE

#: What a peer sends to keep its connection open, and what it wants to hear back.
PING, PONG = b"\r\n\r\n", b"\r\n"
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_LENGTH = re.compile(rb"^(?:content-length|l)[ \t]*:\s*(\d{1,10})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)


class Framer:
    """One direction of one connection. Never keeps more than one message of :data:`MAX_MESSAGE` bytes and a read."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._looked = 0  # no end of a head before this place
        self._total = 0  # size of the message whose head has been read, 0: none

    @property
    def unfinished(self) -> bool:
        """Whether a message has begun and is not complete."""
        return bool(self._buffer.strip(PONG))

    def feed(self, data: bytes) -> list[bytes]:
        """What ``data`` completed: whole messages, and :data:`PING` for each keep-alive.

        Raises SipParseError when the stream cannot be cut any more: no Content-Length (it is required here), more
        than one of them, or a message above 64 KiB. The connection is of no use then.
        """
        self._buffer += data
        found: list[bytes] = []
        while (item := self._next()) is not None:
            found.append(item)
        return found

    def _next(self) -> bytes | None:
        if not self._total:
            if self._buffer.startswith(PING):
                del self._buffer[:4]
                return PING
            if self._buffer.startswith(PONG) and not PING.startswith(self._buffer):
                del self._buffer[:2]
                return self._next()
            self._read_head()
        if not self._total or len(self._buffer) < self._total:
            return None
        message = bytes(self._buffer[: self._total])
        del self._buffer[: self._total]
        self._total = self._looked = 0
        return message

    def _read_head(self) -> None:
        end = _HEAD_END.search(self._buffer, max(0, self._looked - 3))
        if end is None:
            self._looked = len(self._buffer)
            if self._looked > MAX_MESSAGE:
                raise SipParseError(f"a head of more than {MAX_MESSAGE} bytes", "message", sip_status=513)
            return
        lengths = {int(text) for text in _LENGTH.findall(self._buffer, 0, end.end())}
        if len(lengths) != 1:
            raise SipParseError("needed exactly once on a stream", "Content-Length")
        self._total = end.end() + lengths.pop()
        if self._total > MAX_MESSAGE:
            raise SipParseError(f"{self._total} bytes, more than {MAX_MESSAGE}", "message", sip_status=513)
