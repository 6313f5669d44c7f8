"""The guarded client over real sockets on loopback."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from sivo.base.errors import SivoError
from sivo.outbound.client import GuardedClient, Limits
from sivo.outbound.guard import GuardRefused


@dataclass
class Target:
    """A loopback server that counts connections, so that a refusal can be shown to have happened at the socket."""

    port: int = 0
    connections: int = 0
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


async def _answer(request: web.Request) -> web.StreamResponse:
    target = request.app[TARGET]
    target.paths.append(request.path)
    target.headers.append(dict(request.headers))
    if request.path == "/redirect":
        raise web.HTTPFound("/landed")
    if request.path == "/large":
        return web.Response(body=b"x" * 200_000)
    if request.path in ("/slow", "/events"):
        response = web.StreamResponse()
        await response.prepare(request)
        for number in range(1000 if request.path == "/slow" else 3):
            await response.write(f"data: {number}\r\n\r\n".encode())
            await asyncio.sleep(0.05)
        return response
    if request.path == "/cut":
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.abort()
        return response
    return web.Response(text="hello", headers={"Set-Cookie": "a=b"})


TARGET: web.AppKey[Target] = web.AppKey("target", Target)


@pytest.fixture
async def target() -> AsyncIterator[Target]:
    target = Target()

    app = web.Application()
    app[TARGET] = target
    app.router.add_route("*", "/{path:.*}", _answer)
    runner = web.AppRunner(app)
    await runner.setup()
    assert runner.server is not None
    inner = runner.server

    def protocol() -> asyncio.Protocol:
        target.connections += 1
        return inner()

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = await asyncio.get_running_loop().create_server(protocol, sock=listener)
    target.port = listener.getsockname()[1]
    yield target
    server.close()
    await runner.cleanup()


@pytest.fixture
async def strict() -> AsyncIterator[GuardedClient]:
    """Plain http is possible, but nothing on loopback is on the allow-list."""
    client = GuardedClient("203.0.113.7", allow_http=True)
    yield client
    await client.close()


@pytest.fixture
async def allowed(target: Target) -> AsyncIterator[GuardedClient]:
    client = GuardedClient(f"127.0.0.0/8:{target.port}", allow_http=True)
    yield client
    await client.close()


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "localhost",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
    ],
)
async def test_every_notation_of_loopback_is_refused_before_a_connection(
    target: Target, strict: GuardedClient, host: str
) -> None:
    with pytest.raises(GuardRefused) as refused:
        await strict.request("GET", f"http://{host}:{target.port}/")
    assert refused.value.code == "OUTBOUND_REFUSED"
    assert refused.value.remedy
    assert target.connections == 0


@pytest.mark.parametrize("url", ["http://169.254.169.254/latest/meta-data", "https://169.254.169.254/"])
async def test_metadata_address_is_refused(strict: GuardedClient, url: str) -> None:
    with pytest.raises(GuardRefused, match=r"169\.254\.169\.254"):
        await strict.request("GET", url)


async def test_allow_listed_address_is_reached_and_only_on_its_port(target: Target, allowed: GuardedClient) -> None:
    answer = await allowed.request("GET", target.url + "/")
    assert (answer.status, answer.body, target.connections) == (200, b"hello", 1)
    with pytest.raises(GuardRefused):
        await allowed.request("GET", f"http://127.0.0.1:{target.port + 1}/")


async def test_plain_http_is_refused_unless_the_operator_allows_it(target: Target) -> None:
    client = GuardedClient(f"127.0.0.1:{target.port}")
    with pytest.raises(GuardRefused, match="https"):
        await client.request("GET", target.url)
    assert target.connections == 0
    await client.close()


async def test_redirects_are_answers(target: Target, allowed: GuardedClient) -> None:
    answer = await allowed.request("GET", target.url + "/redirect")
    assert (answer.status, answer.ok, target.paths) == (302, False, ["/redirect"])


class _Names(AbstractResolver):
    def __init__(self, *addresses: str) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0)
            for address in self._addresses
        ]

    async def close(self) -> None:
        return


async def test_one_bad_answer_refuses_the_name(target: Target) -> None:
    # The first address is allowed and serves; the second is not allowed, so that nothing is asked at all.
    good = GuardedClient(f"127.0.0.1:{target.port}", allow_http=True, resolver=_Names("127.0.0.1"))
    assert (await good.request("GET", f"http://api.example.com:{target.port}/")).status == 200
    bad = GuardedClient(f"127.0.0.1:{target.port}", allow_http=True, resolver=_Names("127.0.0.1", "127.0.0.2"))
    with pytest.raises(GuardRefused, match=r"127\.0\.0\.2") as refused:
        await bad.request("GET", f"http://api.example.com:{target.port}/")
    assert "api.example.com" in (refused.value.where or "")
    assert target.connections == 1
    await good.close()
    await bad.close()


async def test_the_socket_is_judged_even_when_resolution_was_fooled(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A resolver that skips its own check stands for rebinding: the socket factory must still see the final address.
    from sivo.outbound import connections as module

    client = GuardedClient("203.0.113.7", allow_http=True, resolver=_Names("127.0.0.1"))
    monkeypatch.setattr(module, "_GuardedResolver", lambda inner, guard: inner)
    with pytest.raises(GuardRefused, match="this machine itself"):
        await client.request("GET", f"http://api.example.com:{target.port}/")
    assert target.connections == 0
    await client.close()


async def test_environment_proxies_and_cookies_are_not_used(
    target: Target, allowed: GuardedClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    for _ in range(2):
        assert (await allowed.request("GET", target.url + "/")).status == 200
    assert all("Cookie" not in headers for headers in target.headers)


@pytest.mark.parametrize(
    "url", ["http://user:pw@127.0.0.1/", "https://user@example.com/", "ftp://example.com/", "/x", ""]
)
async def test_urls_with_userinfo_or_another_scheme_are_refused(strict: GuardedClient, url: str) -> None:
    with pytest.raises(GuardRefused) as refused:
        await strict.request("GET", url)
    assert "pw" not in str(refused.value)


async def test_a_dribbling_answer_is_cut_at_the_total_time(target: Target, allowed: GuardedClient) -> None:
    with pytest.raises(SivoError) as failed:
        await allowed.request("GET", target.url + "/slow", limits=Limits(total=0.4))
    assert failed.value.code == "OUTBOUND_TIMEOUT"
    assert isinstance(failed.value.__cause__, TimeoutError | aiohttp.ClientError)


async def test_an_oversize_answer_is_cut(target: Target, allowed: GuardedClient) -> None:
    with pytest.raises(SivoError) as failed:
        await allowed.request("GET", target.url + "/large", limits=Limits(max_bytes=100_000))
    assert failed.value.code == "OUTBOUND_TOO_LARGE"
    assert len((await allowed.request("GET", target.url + "/large", limits=Limits(max_bytes=200_000))).body) == 200_000


async def test_an_answer_cut_off_and_a_dead_port_are_failures(target: Target, allowed: GuardedClient) -> None:
    with pytest.raises(SivoError) as cut:
        await allowed.request("GET", target.url + "/cut")
    assert cut.value.code == "OUTBOUND_FAILED"
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        dead = unused.getsockname()[1]
    client = GuardedClient(f"127.0.0.1:{dead}", allow_http=True)
    with pytest.raises(SivoError) as refused:
        await client.request("GET", f"http://127.0.0.1:{dead}/")
    assert refused.value.code == "OUTBOUND_FAILED"
    await client.close()


async def test_streamed_lines_arrive_before_the_end(target: Target, allowed: GuardedClient) -> None:
    lines: list[str] = []
    async with allowed.stream("GET", target.url + "/slow") as stream:
        async for line in stream.lines():
            lines.append(line)
            if len(lines) == 4:
                break
    assert lines == ["data: 0", "", "data: 1", ""]
    async with allowed.stream("GET", target.url + "/events") as stream:
        assert [line async for line in stream.lines() if line] == ["data: 0", "data: 1", "data: 2"]


async def test_internal_requests_reach_only_the_configured_role(target: Target) -> None:
    client = GuardedClient(internal=[target.url + "/v1"])
    assert (await client.request("GET", target.url + "/v1/models", internal=True)).status == 200
    with pytest.raises(GuardRefused):
        await client.request("GET", target.url + "/v1/models")
    with pytest.raises(GuardRefused, match="internal"):
        await client.request("GET", f"http://127.0.0.1:{target.port + 1}/v1/models", internal=True)
    with pytest.raises(GuardRefused, match="internal"):
        await client.request("GET", "https://169.254.169.254/", internal=True)
    await client.close()
