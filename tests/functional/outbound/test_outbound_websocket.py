"""The guarded WebSocket over real sockets: the same guard, no redirects, bounded, closes told with code and reason."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import WSMsgType, web

from sivo.base.errors import SivoError
from sivo.outbound.client import GuardedClient, Limits
from sivo.outbound.failure import HandshakeRefused
from sivo.outbound.guard import GuardRefused
from sivo.outbound.websocket import SocketClosed

SEEN: list[tuple[str, dict[str, str]]] = []


async def _serve(request: web.Request) -> web.StreamResponse:
    SEEN.append((request.path_qs, dict(request.headers)))
    match request.path:
        case "/redirect":
            raise web.HTTPFound("/landed")
        case "/refused":
            return web.Response(status=401, headers={"dg-error": "Invalid credentials."})
        case "/never":
            await asyncio.sleep(30)
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.BINARY:
            await socket.send_bytes(message.data * 2)
        elif message.data == "close":
            await socket.close(code=1008, message=b"enough")
        elif message.data == "cut" and request.transport is not None:
            request.transport.abort()
        elif message.data == "large":
            await socket.send_str("x" * 200_000)
        else:
            await socket.send_str(message.data.upper())
    return socket


@asynccontextmanager
async def serving() -> AsyncIterator[int]:
    SEEN.clear()
    app = web.Application()
    app.router.add_get("/{tail:.*}", _serve)
    runner = web.AppRunner(app, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


@asynccontextmanager
async def client(allow: str) -> AsyncIterator[GuardedClient]:
    made = GuardedClient(allow, allow_http=True)
    try:
        yield made
    finally:
        await made.close()


async def test_messages_parameters_and_headers_go_both_ways() -> None:
    async with serving() as port, client(f"127.0.0.1:{port}") as http:
        pairs = [("model", "nova-2"), ("keyterm", "a b"), ("keyterm", "c")]
        socket = await http.websocket(f"ws://127.0.0.1:{port}/v1", headers={"xi-api-key": "k"}, params=pairs)
        await socket.send("hello")
        await socket.send(b"ab")
        assert [await socket.receive(), await socket.receive()] == ["HELLO", b"abab"]
        await socket.send("close")
        assert await socket.receive() == SocketClosed(1008, "enough")
        with pytest.raises(SivoError) as gone:
            await socket.send("more")
        assert gone.value.code == "OUTBOUND_FAILED"
    (path, headers) = SEEN[0]
    assert path == "/v1?model=nova-2&keyterm=a+b&keyterm=c"
    assert headers["xi-api-key"] == "k"


async def test_a_cut_is_1006() -> None:
    async with serving() as port, client(f"127.0.0.1:{port}") as http:
        socket = await http.websocket(f"http://127.0.0.1:{port}/")
        await socket.send("cut")
        assert await socket.receive() == SocketClosed(1006)


async def test_the_guard_judges_before_a_byte_is_sent() -> None:
    async with serving() as port, client("") as http:
        for url in (f"ws://127.0.0.1:{port}/", f"wss://127.0.0.1:{port}/", f"ws://user:pass@127.0.0.1:{port}/"):
            with pytest.raises(GuardRefused):
                await http.websocket(url)
    assert SEEN == []


async def test_redirects_are_refused_so_that_no_credential_follows_them() -> None:
    async with serving() as port, client(f"127.0.0.1:{port}") as http:
        with pytest.raises(GuardRefused, match="redirects"):
            await http.websocket(f"ws://127.0.0.1:{port}/redirect", headers={"xi-api-key": "k"})
    assert [path for path, _ in SEEN] == ["/redirect"]


async def test_a_refused_handshake_carries_status_and_headers() -> None:
    async with serving() as port, client(f"127.0.0.1:{port}") as http:
        with pytest.raises(HandshakeRefused) as refused:
            await http.websocket(f"ws://127.0.0.1:{port}/refused")
    assert refused.value.http_status == 401
    assert refused.value.headers["dg-error"] == "Invalid credentials."
    assert refused.value.code == "OUTBOUND_FAILED"


async def test_time_and_size_are_bounded() -> None:
    async with serving() as port, client(f"127.0.0.1:{port}") as http:
        with pytest.raises(SivoError) as late:
            await http.websocket(f"ws://127.0.0.1:{port}/never", limits=Limits(connect=0.2))
        assert late.value.code == "OUTBOUND_TIMEOUT"
        socket = await http.websocket(f"ws://127.0.0.1:{port}/", limits=Limits(max_bytes=10_000))
        await socket.send("large")
        closed = await socket.receive()
        assert isinstance(closed, SocketClosed)
        assert closed.code == 1009


async def test_sockets_that_stay_open_leave_room_for_each_other_and_for_requests() -> None:
    async with serving() as port:
        http = GuardedClient(f"127.0.0.1:{port}", allow_http=True, connections_per_host=2)
        sockets = [await http.websocket(f"ws://127.0.0.1:{port}/", limits=Limits(connect=2.0)) for _ in range(10)]
        answer = await http.request("GET", f"http://127.0.0.1:{port}/refused", limits=Limits(total=2.0))
        assert answer.status == 401
        for socket in sockets:
            await socket.close()
        await http.close()


async def test_nobody_there_is_a_failure_not_a_refusal() -> None:
    async with client("127.0.0.1") as http:
        with pytest.raises(SivoError) as failed:
            await http.websocket("ws://127.0.0.1:38499/")
    assert failed.value.code == "OUTBOUND_FAILED"
