"""Group "Tenant identity": names, hosts, zone. Observers: PyJWT, a SIP phone of its own, an HTTP client."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import jwt as pyjwt
import pytest

from support.conformance import conformance
from support.conformance_table import Evidence
from support.raw_phone import RawPhone
from support.running_node import Node

pytestmark = pytest.mark.asyncio(loop_scope="session")

PASSWORD = "correct horse battery"
_serials = itertools.count(1)


@dataclass
class House:
    """A tenant with one extension and one person who signs in over TCP."""

    node: Node
    tenant: str
    email: str
    sip_password: str

    async def api(self, method: str, path: str, body: Any = None) -> Any:
        """A request to the public API for this tenant."""
        return await self.node.client.call(method, path, body, self.tenant)

    @property
    def url(self) -> str:
        """The API on TCP."""
        return f"http://127.0.0.1:{self.node.platform.ports.http}"

    async def login(self, host: str = "") -> httpx.Response:
        """Sign in from an address that nobody else has, on a host of the console if one is named."""
        source = httpx.AsyncHTTPTransport(local_address=f"127.0.61.{next(_serials)}")
        headers = {"Host": host} if host else {}
        async with httpx.AsyncClient(transport=source, base_url=self.url) as client:
            return await client.post(
                "/auth/login", json={"email": self.email, "password": PASSWORD}, headers=headers, timeout=20
            )

    async def claims(self) -> dict[str, Any]:
        """What PyJWT verifies in the person's token by the published keys."""
        token = (await self.login()).json()["access_token"]
        async with httpx.AsyncClient(base_url=self.url) as client:
            keys = pyjwt.PyJWKSet.from_dict((await client.get("/.well-known/jwks.json")).json())
        key = keys[pyjwt.get_unverified_header(token)["kid"]]
        return pyjwt.decode(token, key, algorithms=["RS256"], audience="sivo-api")

    async def register(self, domain: str, timeout: float = 5.0) -> int:
        """The answer to a REGISTER in ``domain`` with the extension's password; 0 when none comes."""
        address = ("127.0.0.1", self.node.platform.ports.sip)
        phone = await RawPhone.open("1001", domain, self.sip_password, address)
        try:
            async with asyncio.timeout(timeout):
                return (await phone.register()).status
        except TimeoutError:
            return 0
        finally:
            phone.close()


async def open_house(node: Node) -> House:
    """Make it through the API."""
    serial = next(_serials)
    body = {"slug": f"house{serial}", "name": f"House {serial}", "plan": "pro"}
    tenant = str((await node.client.call("POST", "/api/tenants", body))["id"])
    made = House(node, tenant, f"sue@house{serial}.example", "")
    user = await made.api("POST", "/api/users", {"email": made.email, "name": "Sue", "role": "agent"})
    await made.api("POST", f"/api/users/{user['id']}/password", {"password": PASSWORD})
    made.sip_password = str((await made.api("POST", "/api/extensions", {"number": "1001"}))["sip_password"])
    return made


@conformance("tenant.slug", "first label of the SIP host; claim tenantSlug", "PyJWT, SIP REGISTER")
async def test_the_slug_names_the_sip_host_and_the_token(node: Node, evidence: Evidence) -> None:
    house = await open_house(node)
    await house.api("PATCH", "/api/config", {"tenant.slug": "renamed-house"})
    await asyncio.sleep(0.5)
    claims = await house.claims()
    assert claims["tenantSlug"] == "renamed-house"
    domain = claims["sipDomain"]
    assert domain.startswith("renamed-house.")
    assert await house.register(domain) == 200
    evidence("tenant.slug", f"tenantSlug=renamed-house, REGISTER to {domain}: 200")


@conformance(
    "tenant.sip_domain", "domain and realm of registrations, others refused; claim sipDomain", "SIP REGISTER, PyJWT"
)
async def test_phones_register_in_the_domain_that_is_set(node: Node, evidence: Evidence) -> None:
    house = await open_house(node)
    old = str((await house.api("GET", "/api/config"))["tenant.sip_domain"])
    domain = f"voice.{old.partition('.')[0]}.example"
    assert await house.register(domain, 1.0) == 0, "nobody's domain yet"
    await house.api("PATCH", "/api/config", {"tenant.sip_domain": domain})
    await asyncio.sleep(0.5)
    assert await house.register(domain) == 200
    assert await house.register(old) == 200, "the old one is valid for seven days"
    assert await house.register(f"other.{domain}", 1.0) == 0
    assert (await house.claims())["sipDomain"] == domain
    evidence("tenant.sip_domain", f"REGISTER to {domain}: 200; to another: no answer; sipDomain={domain}")


@conformance("tenant.dashboard_url", "the Host header selects the tenant", "HTTP client")
async def test_the_host_selects_the_tenant(node: Node, evidence: Evidence) -> None:
    house, other = await open_house(node), await open_house(node)
    host = f"desk{next(_serials)}.conformance.example"
    await house.api("PATCH", "/api/config", {"tenant.dashboard_url": host})
    await asyncio.sleep(0.5)
    tokens = [(await one.login()).json()["access_token"] for one in (house, other)]
    seen = []
    async with httpx.AsyncClient(base_url=house.url) as client:
        for token in tokens:
            headers = {"Host": host, "Authorization": f"Bearer {token}"}
            seen.append(await client.get("/api/me", headers=headers, timeout=20))
    assert [one.status_code for one in seen] == [200, 401]
    assert seen[1].json()["code"] == "TENANT_HOST_MISMATCH"
    evidence("tenant.dashboard_url", f"Host {host}: own token 200, another tenant's 401 TENANT_HOST_MISMATCH")


@conformance("tenant.timezone", "call records are rendered in it, right across DST", "HTTP client with zoneinfo")
async def test_call_records_are_rendered_in_the_zone(node: Node, evidence: Evidence) -> None:
    house = await open_house(node)
    domain = str((await house.api("GET", "/api/config"))["tenant.sip_domain"])
    address = ("127.0.0.1", node.platform.ports.sip)
    phone = await RawPhone.open("1001", domain, house.sip_password, address)
    try:
        for _ in range(20):  # a tenant that was made a moment ago
            answer = await phone.invite("9999", 4000)
            if answer.status == 404:
                break
            await asyncio.sleep(0.2)
    finally:
        phone.close()
    seen = {}
    for zone in ("Asia/Kathmandu", "Australia/Lord_Howe"):
        await house.api("PATCH", "/api/config", {"tenant.timezone": zone})
        items: list[dict[str, Any]] = []
        for _ in range(50):
            items = (await house.api("GET", "/api/calls"))["items"]
            if items:
                break
            await asyncio.sleep(0.1)
        at = datetime.fromisoformat(items[0]["created_at"])
        assert at.utcoffset() == at.astimezone(ZoneInfo(zone)).utcoffset(), items[0]["created_at"]
        seen[zone] = items[0]["created_at"]
    evidence("tenant.timezone", "; ".join(f"{zone}: {at}" for zone, at in seen.items()))
