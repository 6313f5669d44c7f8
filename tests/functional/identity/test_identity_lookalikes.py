"""What is made to look like something else: e-mail addresses, slugs, forwarded addresses."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from sivo.base.settings import Settings
from sivo.db.scopes import Database
from support.running_api import RunningApi, running_api

PASSWORD = "correct horse battery"
EMAIL = "sue@acme.example"


@pytest.fixture
async def api(settings: Settings, database: Database) -> AsyncIterator[RunningApi]:
    trusting = settings.model_copy(update={"http_trusted_proxies": "127.0.0.1/32"})
    async with running_api(trusting, database) as running:
        tenant = await running.tenant("acme")
        await running.user(tenant, EMAIL, PASSWORD, role="supervisor")
        yield running


async def test_an_address_that_only_looks_alike_is_nobodys(api: RunningApi) -> None:
    alike = [
        "ѕue@acme.example",  # Cyrillic s
        "sue@аcme.example",  # Cyrillic a
        "ｓue@acme.example",  # full width
        "sue\u200b@acme.example",  # zero-width space
        "sue@acme.example\x00",
        "sue@acme.example' or '1'='1",
        "sue@acme.example'; drop table session; --",
        "%@acme.example",
        "sue@acme.example\r\nBcc: x@y.example",
    ]
    answers = [await api.login(email, PASSWORD, f"127.0.70.{number}") for number, email in enumerate(alike, 1)]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1
    for number, same in enumerate(("SUE@Acme.Example", " sue@acme.example "), 50):
        assert (await api.login(same, PASSWORD, f"127.0.70.{number}")).status_code == 200, same


async def test_text_that_no_database_holds_is_refused_not_tripped_over(api: RunningApi) -> None:
    json_type = {"Content-Type": "application/json"}
    for body in (
        rb'{"email": "sue\ud800@acme.example", "password": "x"}',
        rb'{"email": "a@b.c", "password": "\ud800"}',
    ):
        answer = await api.http.post("/api/auth/login", content=body, headers=json_type)
        assert answer.status_code in (401, 422), answer.text
    for body in (rb'{"refresh_token": "\u0000"}', rb'{"refresh_token": "\ud800"}', rb'{"refresh_token": ""}'):
        answer = await api.http.post("/api/auth/refresh", content=body, headers=json_type)
        assert answer.status_code in (401, 422), answer.text
    assert (await api.local.post("/api/signing-keys/%00/revoke", json={"reason": "x"})).status_code == 422
    nul = {"amount": 1, "reason": "a\x00b"}
    assert (await api.local.put("/api/limits/login", json=nul)).status_code == 422


async def test_a_slug_that_only_looks_alike_cannot_be_taken(api: RunningApi) -> None:
    for slug in ("аcme", "ACME", "acme\u200b", "ac.me", "-acme", "acme-", "a", "ａｃｍｅ", "acme'--"):
        answer = await api.local.post("/api/tenants", json={"slug": slug, "name": "Mallory", "plan": "pro"})
        assert answer.status_code in (409, 422), slug
    for tenant in ("аcme", "acme' or 1=1 --", "acme\u200b"):
        answer = await api.login(EMAIL, PASSWORD, "127.0.71.1", tenant=tenant)
        assert answer.json()["code"] in ("LOGIN_FAILED", "LOGIN_LOCKED"), tenant


async def test_forwarded_addresses_that_are_none_count_as_the_proxy(api: RunningApi) -> None:
    login = {"email": EMAIL, "password": "wrong password"}
    statuses = []
    for value in ("not an address", "1.2.3.4.5", "unknown", "::g", "'; drop table rate_window; --", "9" * 3000):
        headers = {"X-Forwarded-For": value}
        statuses.append((await api.http.post("/api/auth/login", json=login, headers=headers)).status_code)
    assert statuses == [401] * 5 + [429], "all of one client: the proxy itself"


async def test_a_header_cannot_be_broken_in_two(api: RunningApi) -> None:
    """A bare line feed, a carriage return or NUL inside a header value is refused before anything reads it."""
    host, port = "127.0.0.1", int(api.url.rpartition(":")[2])
    for value in (b"1.1.1.1\x00", b"1.1.1.1\rX-Sivo-Peer-Uid: 0"):
        assert b" 400 " in await asyncio.to_thread(_first_line, host, port, value)


def _first_line(host: str, port: int, value: bytes) -> bytes:
    with socket.create_connection((host, port), timeout=10) as raw:
        raw.sendall(b"GET /api/me HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: " + value + b"\r\n\r\n")
        return raw.recv(4096).split(b"\r\n")[0]
