"""Softphones: POST /auth/agent against a real call role; a raw SIP phone registers with what it answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import jwt as pyjwt
import pytest

from sivo.base.settings import Settings
from sivo.calls import node as call_node
from sivo.calls.node import CallNode
from sivo.db.scopes import Database
from support.raw_phone import RawPhone
from support.running_api import RunningApi, running_api

PASSWORD = "correct horse battery"
EMAIL = "sue@acme.example"


@dataclass
class Office:
    """An ``api`` and a call role on one database."""

    api: RunningApi
    settings: Settings
    tenant: str
    user: str
    logins: int = 0

    async def login(self) -> dict[str, Any]:
        self.logins += 1
        return dict((await self.api.login(EMAIL, PASSWORD, f"127.0.40.{self.logins}")).json())

    async def agent(self, token: str) -> httpx.Response:
        return await self.api.http.post("/api/auth/agent", headers={"Authorization": f"Bearer {token}"})

    @asynccontextmanager
    async def phone(self, sip: dict[str, str]) -> AsyncIterator[RawPhone]:
        """A softphone configured with the answer."""
        made = await RawPhone.open(
            sip["extension"], sip["domain"], sip["password"], (self.settings.sip_host, self.settings.sip_port)
        )
        made.account = sip["auth_user"]
        try:
            yield made
        finally:
            made.close()


async def registered(phone: RawPhone, wanted: int, within: float = 3.0) -> float:
    """Seconds until a REGISTER gets ``wanted``: 401 means that the digest is not taken (any more).

    One second is the requirement; three leave room for a busy machine. It does not hammer: who is
    refused again and again is taken for a guesser of passwords and gets no answer.
    """
    started = time.monotonic()
    while True:
        await asyncio.sleep(0.3)
        answer = await phone.register()
        if answer.status == wanted:
            return time.monotonic() - started
        assert time.monotonic() - started < within, answer.first_line


@pytest.fixture
async def office(settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Office]:
    monkeypatch.setattr(call_node, "MEDIA_WAIT", 0.0)  # these phones only register: there is no media to wait for
    async with running_api(settings, database) as api:
        tenant = await api.tenant("acme")
        user = await api.user(tenant, EMAIL, PASSWORD, role="agent")
        await api.ok("POST", "/api/extensions", {"number": "201", "user": user}, tenant)
        node = CallNode(settings, database, api.context.vault)
        await node.start()
        try:
            yield Office(api, settings, tenant, user)
        finally:
            await node.stop()


async def test_a_softphone_registers_with_its_own_secret_until_the_session_ends(office: Office) -> None:
    tokens = await office.login()
    answer = await office.agent(tokens["access_token"])
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["expires_in"] == 3600
    claims = pyjwt.decode(body["access_token"], options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == 3600
    assert (
        claims["sid"]
        == body["session_id"]
        != pyjwt.decode(tokens["access_token"], options={"verify_signature": False})["sid"]
    )
    sip = body["sip"]
    assert (sip["domain"], sip["extension"]) == ("acme.sip.sivocenter.com", "201")
    assert sip["auth_user"].startswith("201-")
    assert sip["outbound_proxy"] == f"sip:127.0.0.1:{office.settings.sip_port};transport=udp"
    async with office.phone(sip) as phone:
        await registered(phone, 200, within=3)
        bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
        assert (await office.api.http.post("/api/auth/logout", headers=bearer)).status_code == 204
        await registered(phone, 401)
    softphone = {"Authorization": f"Bearer {body['access_token']}"}
    assert (await office.api.http.get("/api/me", headers=softphone)).status_code == 401


async def test_signing_one_device_out_leaves_the_other_and_the_desk_phone(office: Office) -> None:
    extension = (await office.api.ok("GET", "/api/extensions", tenant=office.tenant))["items"][0]
    desk_secret = "desk-phone-secret-1"
    await office.api.ok("PATCH", f"/api/extensions/{extension['id']}", {"sip_password": desk_secret}, office.tenant)
    first, second = await office.login(), await office.login()
    one = (await office.agent(first["access_token"])).json()["sip"]
    two = (await office.agent(second["access_token"])).json()["sip"]
    assert one["auth_user"] != two["auth_user"] and one["password"] != two["password"]
    desk = {**one, "auth_user": "201", "password": desk_secret}
    async with office.phone(one) as gone, office.phone(two) as other, office.phone(desk) as table:
        for phone in (gone, other, table):
            await registered(phone, 200, within=3)
        bearer = {"Authorization": f"Bearer {first['access_token']}"}
        await office.api.http.post("/api/auth/logout", headers=bearer)
        await registered(gone, 401)
        for phone in (other, table):
            assert (await phone.register()).status == 200
        contacts = (await table.register()).headers["contact"]
        assert str(gone.port) not in contacts, "it rings no more either"
    async with office.phone({**two, "password": one["password"]}) as mixed:
        assert (await mixed.register()).status == 401


async def test_a_device_secret_registers_no_other_extension(office: Office) -> None:
    await office.api.ok("POST", "/api/extensions", {"number": "202"}, office.tenant)
    sip = (await office.agent((await office.login())["access_token"])).json()["sip"]
    async with office.phone(sip) as own:
        await registered(own, 200, within=3)
    async with office.phone({**sip, "extension": "202"}) as phone:
        assert (await phone.register()).status == 403


async def test_a_user_who_is_switched_off_loses_the_phone(office: Office) -> None:
    sip = (await office.agent((await office.login())["access_token"])).json()["sip"]
    async with office.phone(sip) as phone:
        await registered(phone, 200, within=3)
        await office.api.ok("PATCH", f"/api/users/{office.user}", {"active": False}, office.tenant)
        await registered(phone, 401)


async def test_without_an_extension_there_is_no_softphone(office: Office) -> None:
    await office.api.user(office.tenant, "bob@acme.example", PASSWORD, role="agent")
    token = (await office.api.login("bob@acme.example", PASSWORD, "127.0.41.1")).json()["access_token"]
    refused = await office.agent(token)
    assert (refused.status_code, refused.json()["code"]) == (409, "NO_EXTENSION")
    local = await office.api.local.post("/api/auth/agent")
    assert local.status_code == 422


async def test_a_softphones_session_opens_no_further_ones(office: Office) -> None:
    body = (await office.agent((await office.login())["access_token"])).json()
    again = await office.agent(body["access_token"])
    assert (again.status_code, again.json()["code"]) == (422, "VALIDATION_FAILED")


async def test_the_secret_is_sealed(office: Office, database: Database) -> None:
    sip = (await office.agent((await office.login())["access_token"])).json()["sip"]
    async with database.platform("test: look at devices") as connection:
        (row,) = await connection.fetch("select d.auth_user, d.secret_sealed from device d")
    assert row["auth_user"] == sip["auth_user"]
    assert sip["password"].encode() not in row["secret_sealed"]
    await asyncio.sleep(0)
