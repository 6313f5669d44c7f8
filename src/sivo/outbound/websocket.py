"""A guarded WebSocket that is open: text and bytes out, messages in, the peer's close code and reason at the end."""

from __future__ import annotations

from dataclasses import dataclass

import aiohttp

from sivo.base.errors import SivoError

#: RFC 6455 §7.4.1: what stands for "the connection broke without a close frame".
ABNORMAL = 1006


@dataclass(frozen=True, slots=True)
class SocketClosed:
    """The last thing that :meth:`Socket.receive` gives. ``code`` 1006: cut without a close frame."""

    code: int
    reason: str = ""


class Socket:
    """One open connection; made by :meth:`sivo.outbound.client.GuardedClient.websocket`."""

    def __init__(self, inner: aiohttp.ClientWebSocketResponse) -> None:
        self._inner = inner

    async def send(self, message: str | bytes) -> None:
        """Send one message; ``SivoError`` (``OUTBOUND_FAILED``) when the connection is gone. Waits while the peer does
        not read."""
        try:
            if isinstance(message, str):
                await self._inner.send_str(message)
            else:
                await self._inner.send_bytes(message)
        except (aiohttp.ClientError, OSError, RuntimeError) as error:
            raise SivoError("OUTBOUND_FAILED", "the WebSocket is closed") from error

    async def receive(self) -> str | bytes | SocketClosed:
        """The next message, or how the connection ended."""
        message = await self._inner.receive()
        if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
            data: str | bytes = message.data
            return data
        if message.type is aiohttp.WSMsgType.CLOSE:
            # aiohttp answers the close by itself.
            return SocketClosed(int(message.data or 1005), str(message.extra or ""))
        return SocketClosed(self._inner.close_code or ABNORMAL)

    async def close(self, code: int = 1000) -> None:
        """Say goodbye; waits at most as long as the client was told to."""
        await self._inner.close(code=code)
