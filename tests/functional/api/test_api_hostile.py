"""What nobody honest sends, at every route: NUL in every text, bodies too large, headers given twice."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from sivo.base.ids import uuid7
from sivo.base.settings import Settings
from sivo.db.scopes import Database
from sivo.isolation.canaries import Canary
from sivo.isolation.samples import sample
from support.running_api import RunningApi, running_api

PASSWORD = "correct horse battery"
EMAIL = "ana@acme.example"
NULS = ("\x00", "a\x00b", "\ud800")


@pytest.fixture
async def api(settings: Settings, database: Database) -> AsyncIterator[RunningApi]:
    async with running_api(settings, database) as running:
        tenant = await running.tenant("acme")
        await running.user(tenant, EMAIL, PASSWORD)
        answer = await running.login(EMAIL, PASSWORD, source="127.0.7.1")
        running.http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        yield running


def spoiled(body: Any, bad: str) -> Iterator[Any]:
    """Copies of ``body``, one text replaced in each; and a text under a key with the bad sign."""
    if isinstance(body, str):
        yield bad
    elif isinstance(body, dict):
        for name, value in body.items():
            yield from ({**body, name: other} for other in spoiled(value, bad))
        yield {**body, f"x{bad}": "y"}
    elif isinstance(body, list):
        yield from ([*body[:at], other, *body[at + 1 :]] for at, one in enumerate(body) for other in spoiled(one, bad))


def _nobody() -> Canary:
    ids = {name: str(uuid7()) for name in ("trunks", "extensions", "users", "ai-agents")}
    return Canary(uuid7(), "acme", "", "", "", None, ids=ids)  # type: ignore[arg-type]


def _requests(document: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if "logout" not in path and "isolation" not in path and method != "get":
                yield method, path.replace("{", "").replace("}", ""), sample(document, operation, _nobody())


async def test_nul_and_half_characters_in_every_text_of_every_route(api: RunningApi) -> None:
    document = (await api.http.get("/api/openapi.json")).json()
    tried, wrong = 0, []
    for method, path, body in _requests(document):
        address = "/".join(str(uuid7()) if part.endswith("_id") else part for part in path.split("/"))
        for bad in NULS:
            for one in spoiled(body or {}, bad):
                sent = json.dumps(one).encode()
                headers = {"Content-Type": "application/json"}
                answer = await _patient(api, method, address, sent, headers)
                tried += 1
                if answer.status_code >= 500 or answer.status_code < 400:
                    wrong.append((method, path, sent[:200], answer.status_code))
    assert tried > 150
    assert not [one for one in wrong if one[3] >= 500], wrong


async def _patient(api: RunningApi, method: str, path: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
    """A request that tries again when it is told that it was one too many."""
    answer = await api.http.request(method, path, content=body, headers=headers)
    if answer.status_code == 429:
        await api.ok("PUT", "/api/limits/requests", {"subject": "platform", "amount": 1_000_000, "reason": "test"})
        answer = await api.http.request(method, path, content=body, headers=headers)
    return answer


async def test_nul_in_paths_queries_and_headers(api: RunningApi) -> None:
    for path in (
        "/api/secrets/a%00b",
        "/api/config/tenant%00.slug",
        "/api/tenants/by-slug/a%00",
        "/api/calls?cursor=%00",
        "/api/config?at=%00",
        "/api/config?explain=%00",
        "/api/config/history?key=%00",
        "/api/explain/call?from=%00&to=%00",
        "/api/webhook-deliveries?state=%00",
    ):
        for client in (api.http, api.local):
            answer = await client.get(path)
            assert answer.status_code < 500, (path, answer.status_code, answer.text)
    answer = await api.http.put("/api/secrets/openai", json={"value": "x"}, headers={"X-Change-Reason": "%00%ff"})
    assert answer.status_code < 500, answer.text


async def test_an_oversized_body_is_refused_at_every_route_before_it_is_read(api: RunningApi) -> None:
    document = (await api.http.get("/api/openapi.json")).json()
    large = b'{"a": "' + b"x" * 1_000_001 + b'"}'
    for method, path, _ in list(_requests(document))[::6]:
        answer = await api.http.request(method, path, content=large, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (413, "PAYLOAD_TOO_LARGE"), (method, path)


async def test_a_header_given_twice_opens_nothing(api: RunningApi) -> None:
    host, port = "127.0.0.1", int(api.url.rpartition(":")[2])
    good = str(api.http.headers["Authorization"]).encode()

    async def status(*lines: bytes) -> int:
        return await asyncio.to_thread(_status, host, port, lines)

    assert await status(b"Authorization: " + good) == 200
    assert await status(b"Authorization: Bearer nonsense", b"Authorization: " + good) == 401
    assert await status(b"Content-Length: 0", b"Content-Length: 5") == 400, "request smuggling (RFC 9112 §6.3)"
    assert await status(b"Content-Length: 5", b"Transfer-Encoding: chunked") == 400
    one, other = (f"X-Tenant-Id: {uuid7()}".encode() for _ in range(2))
    assert await status(b"Authorization: " + good, one, other) in (400, 403, 422)


def _status(host: str, port: int, lines: tuple[bytes, ...]) -> int:
    with socket.create_connection((host, port), timeout=10) as raw:
        raw.sendall(b"GET /api/me HTTP/1.1\r\nHost: x\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n")
        return int(raw.recv(4096).split()[1])
