"""Errors as a client sees them, over real HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from pydantic import BaseModel

from sivo.api import problems
from sivo.api.limits import BodyLimit, SecurityHeaders
from sivo.api.server import ApiServer
from sivo.base.errors import SivoError
from sivo.base.settings import Settings


class Secretive(BaseModel):
    password: int


def _app() -> FastAPI:
    app = FastAPI()
    problems.install(app)
    app.add_middleware(BodyLimit, limit=1000)
    app.add_middleware(SecurityHeaders)

    @app.get("/limited")
    async def limited() -> None:
        raise SivoError("RATE_LIMITED", "slow down", where="x", remedy="wait", details={"retry_after": 7})

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("hunter2")

    @app.post("/body")
    async def body(given: Secretive) -> dict[str, int]:
        return {"length": given.password}

    return app


@pytest.fixture
async def base(settings: Settings) -> AsyncIterator[str]:
    server = ApiServer(_app(), "127.0.0.1", settings.http_port, settings.api_socket)
    serving = asyncio.create_task(server.serve())
    await asyncio.wait_for(server.opened.wait(), 10)
    yield f"http://127.0.0.1:{settings.http_port}"
    server.should_exit = True
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(serving, 10)


@pytest.fixture
async def http(base: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=base) as client:
        yield client


async def test_a_sivo_error_is_a_problem_with_code_place_and_remedy(http: httpx.AsyncClient) -> None:
    answer = await http.get("/limited")
    assert answer.status_code == 429
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "7"
    assert answer.json() == {
        "type": "urn:sivo:problem:rate-limited",
        "title": "Too Many Requests",
        "status": 429,
        "detail": "slow down",
        "code": "RATE_LIMITED",
        "where": "x",
        "remedy": "wait",
        "details": {"retry_after": 7},
    }


async def test_what_was_refused_is_not_echoed(http: httpx.AsyncClient) -> None:
    answer = await http.post("/body", json={"password": "hunter2"})
    assert answer.status_code == 422
    assert answer.json()["code"] == "VALIDATION_FAILED"
    assert answer.json()["where"] == "body.password"
    assert "hunter2" not in answer.text


async def test_an_unexpected_error_says_nothing_of_its_inside(
    http: httpx.AsyncClient, capfd: pytest.CaptureFixture[str]
) -> None:
    answer = await http.get("/broken")
    assert (answer.status_code, answer.json()["code"]) == (500, "INTERNAL")
    assert "hunter2" not in answer.text
    printed = "".join(capfd.readouterr())
    assert "RuntimeError" in printed and "hunter2" not in printed


@pytest.mark.parametrize(
    ("method", "path", "code"), [("GET", "/nowhere", "NOT_FOUND"), ("PUT", "/body", "METHOD_NOT_ALLOWED")]
)
async def test_the_frameworks_own_errors_have_the_same_shape(
    http: httpx.AsyncClient, method: str, path: str, code: str
) -> None:
    answer = await http.request(method, path)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == code


async def test_a_large_body_is_refused_announced_or_streamed(http: httpx.AsyncClient) -> None:
    announced = await http.post("/body", content=b"1" * 1001)
    assert (announced.status_code, announced.json()["code"]) == (413, "PAYLOAD_TOO_LARGE")

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield b"1" * 100

    streamed = await http.post("/body", content=chunks(), headers={"content-type": "application/json"})
    assert (streamed.status_code, streamed.json()["code"]) == (413, "PAYLOAD_TOO_LARGE")


async def test_every_answer_carries_the_security_headers(http: httpx.AsyncClient) -> None:
    for path in ("/limited", "/nowhere", "/broken"):
        headers = (await http.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers


async def test_the_local_socket_is_for_its_owner_only(base: str, settings: Settings) -> None:
    path: Path = settings.api_socket
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


async def test_answers_on_a_kept_connection_do_not_wait_for_acknowledgements(settings: Settings) -> None:
    """Nagle's algorithm against delayed acknowledgements would cost 40 ms an answer."""
    server = ApiServer(_app(), "127.0.0.1", settings.http_port, settings.api_socket)
    serving = asyncio.create_task(server.serve())
    await asyncio.wait_for(server.opened.wait(), 10)
    _reader, writer = await asyncio.open_connection("127.0.0.1", settings.http_port)
    async with asyncio.timeout(10):
        while not server.server_state.connections:
            await asyncio.sleep(0.01)
    for connection in server.server_state.connections:
        accepted = connection.transport.get_extra_info("socket")
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
    writer.close()
    server.should_exit = True
    await serving
