"""The public form: what is stored, told and mailed, and that nobody learns anything by it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from httpx import ASGITransport

from sivo.api import problems
from sivo.leads.bodies import LeadBody
from sivo.leads.rows import expire_leads
from support.mail_desk import PASSWORD, Desk
from support.smtp_world import Mailbox

pytestmark = pytest.mark.asyncio(loop_scope="module")
LEAD = {
    "name": "Lía Núñez",
    "email": "lia@customer.example",
    "phone": "+34 (910) 000-100",
    "company": "Customer Ltd",
    "message": "Please call me.\nAfter six.",
    "locale": "fr",
    "consent": True,
    "consent_version": "privacy-2026-01",
    "source": "pricing",
}


async def inbox(office: Desk, **fields: Any) -> None:
    body = {"email": "sales@acme.example", **fields}
    answer = await office.ask("POST", "/api/lead-inboxes", body)
    assert answer.status_code == 201, answer.text


async def leave(office: Desk, source: str = "", **fields: Any) -> httpx.Response:
    return await office.post("/api/public/leads", {**LEAD, "tenant": office.slug, **fields}, source=source)


def when(office: Desk, days: int = 0) -> str:
    return (office.clock.now() + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


async def listed(office: Desk) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await office.ask("GET", "/api/leads")).json()["items"]
    return found


async def rows(office: Desk, table: str) -> list[dict[str, Any]]:
    async with office.api.context.database.platform("test: look at rows") as connection:
        query = f"select * from {table} where tenant_id = $1"
        return [dict(row) for row in await connection.fetch(query, UUID(office.tenant))]


async def events(office: Desk) -> list[dict[str, Any]]:
    return [row["data"] for row in await rows(office, "outbox") if row["type"] == "lead.created"]


async def test_a_lead_is_stored_told_and_mailed(office: Desk, mailbox: Mailbox) -> None:
    await inbox(office, retention_days=30)
    taken = await leave(office)
    assert (taken.status_code, taken.json()) == (202, {"status": "accepted"})
    assert taken.headers["ratelimit-policy"] == '"leads";q=5;w=3600'
    (lead,) = await listed(office)
    person = {name: lead[name] for name in ("name", "email", "company", "message", "locale", "source")}
    assert person == {name: LEAD[name] for name in person}
    assert lead["phone"] == "+34910000100", "E.164, since the country was given"
    assert (lead["consent_version"], lead["consent_at"]) == ("privacy-2026-01", when(office))
    assert lead["expires_at"] == when(office, 30)
    assert await events(office) == [
        {"leadId": lead["id"], "source": "pricing", "locale": "fr", "consentAt": when(office).replace("Z", ".000Z"),
         "consentVersion": "privacy-2026-01"}
    ]  # fmt: skip
    kept = repr([await rows(office, table) for table in ("lead", "mail_message", "outbox")])
    for secret in ("Lía", "lia@customer", "Customer Ltd", "After six", "910000100", "sales@acme"):
        assert secret not in kept
    await office.work()
    (mail,) = mailbox.to("sales@acme.example")
    assert mail.message["Reply-To"].addresses[0].addr_spec == LEAD["email"]
    assert mail.message["Content-Language"] == "es", "the tenant's own language, not the visitor's"
    assert "Please call me.\nAfter six." in mail.text and "Lía Núñez" in mail.message["Subject"]
    one = (await office.ask("GET", f"/api/leads/{lead['id']}")).json()
    assert one == lead


async def test_each_form_may_have_its_inbox_and_none_means_no_mail(office: Desk, mailbox: Mailbox) -> None:
    assert (await leave(office)).status_code == 202
    await inbox(office)
    await inbox(office, source="pricing", email="pricing@acme.example")
    twice = await office.ask("POST", "/api/lead-inboxes", {"source": "pricing", "email": "x@acme.example"})
    assert twice.json()["code"] == "ALREADY_EXISTS"
    await leave(office)
    await leave(office, name="Two")
    assert (
        await office.post("/api/public/leads", {**LEAD, "tenant": office.slug, "source": "footer"})
    ).status_code == 202
    await office.work()
    assert sorted(mail.recipients[0] for mail in mailbox.received) == [
        "pricing@acme.example", "pricing@acme.example", "sales@acme.example",
    ]  # fmt: skip
    assert len(await listed(office)) == 4
    history = (await office.ask("GET", "/api/config/history")).json()["items"]
    assert "lead_inbox" in str(history), "the address is changed by change-set"


async def test_duplicates_and_traps_are_answered_alike_and_traps_leave_nothing(office: Desk, mailbox: Mailbox) -> None:
    await inbox(office)
    first, again = await leave(office), await leave(office)
    trap = await leave(office, website="https://spam.example")
    shapes = {(one.status_code, one.content, tuple(sorted(one.headers))) for one in (first, again, trap)}
    assert len(shapes) == 1
    assert len(await listed(office)) == 2 and len(await events(office)) == 2
    await office.work()
    assert len(mailbox.received) == 2


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"consent": False}, "body.consent"),
        ({"consent": None}, "body.consent"),
        ({"consent_version": ""}, "body.consent_version"),
        ({"email": "nobody"}, "body.email"),
        ({"email": "a@b.example\r\nBcc: c@d.example"}, "body.email"),
        ({"name": "Eve\r\nBcc: all@acme.example"}, "body.name"),
        ({"name": "  "}, "body.name"),
        ({"message": "x" * 5001}, "body.message"),
        ({"message": "a\x00b"}, "body.message"),
        ({"locale": "xx"}, "body.locale"),
        ({"source": "a b"}, "body.source"),
        ({"id": "1"}, "body.id"),
    ],
)
async def test_what_is_wrong_is_named(fields: dict[str, Any], where: str) -> None:
    app = FastAPI()
    problems.install(app)

    @app.post("/leads")
    async def take(body: LeadBody) -> None: ...

    async with httpx.AsyncClient(transport=ASGITransport(app), base_url="http://t") as client:
        answer = await client.post("/leads", json={**LEAD, **fields})
    assert answer.status_code == 422 and answer.json()["where"] == where


async def test_the_tenant_is_named_by_host_or_slug(office: Desk) -> None:
    named = LEAD
    hosted = await office.post("/api/public/leads", named, headers={"Host": office.host})
    assert hosted.status_code == 202
    for body in (named, {**LEAD, "tenant": "no-such"}):
        answer = await office.post("/api/public/leads", body)
        assert (answer.status_code, answer.json()["where"]) == (404, "tenant")
    await office.api.ok("PATCH", f"/api/tenants/{office.tenant}", {"status": "suspended"})
    assert (await leave(office)).status_code == 404


async def test_five_an_hour_from_one_address(office: Desk) -> None:
    source = "127.0.65.1"
    answers = [await leave(office, source) for _ in range(5)]
    trap = await leave(office, source, website="x")
    assert [one.status_code for one in answers] == [202] * 5
    assert (trap.status_code, trap.headers["retry-after"]) == (429, "3600")
    assert (await leave(office, "127.0.65.2")).status_code == 202
    office.clock.advance(3600)
    assert (await leave(office, source)).status_code == 202


async def test_supervisors_read_admins_erase_and_other_tenants_see_nothing(office: Desk, mailbox: Mailbox) -> None:
    await inbox(office)
    await leave(office)
    (lead,) = await listed(office)
    other = await office.api.tenant(f"globex-{office.slug}")
    await office.api.user(other, office.email("hank"), PASSWORD, role="supervisor")
    await office.api.user(office.tenant, office.email("sam"), PASSWORD, role="supervisor")
    hank, sam = await office.bearer(office.email("hank")), await office.bearer(office.email("sam"))
    path = f"/api/leads/{lead['id']}"
    assert (await office.api.http.get("/api/leads", headers=hank)).json()["items"] == []
    assert (await office.api.http.get(path, headers=hank)).status_code == 404
    assert (await office.api.http.get(path, headers=sam)).status_code == 200
    assert (await office.api.http.delete(path, headers=sam)).json()["code"] == "INSUFFICIENT_ROLE"
    assert (await office.ask("DELETE", path)).status_code == 204
    assert (await office.ask("GET", path)).status_code == 404
    await office.work()
    assert mailbox.received == [], "the mail about it went too"


async def test_pages_and_retention(office: Desk) -> None:
    await inbox(office, source="pricing", retention_days=10)
    for number in range(3):
        await leave(office, name=f"N{number}")
    await office.post("/api/public/leads", {**LEAD, "tenant": office.slug, "name": "N3", "source": "footer"})
    names, cursor = [], ""
    while True:
        found = (await office.ask("GET", f"/api/leads?limit=2{cursor}")).json()
        names += [one["name"] for one in found["items"]]
        if found["next"] is None:
            break
        cursor = f"&cursor={found['next']}"
    assert names == ["N3", "N2", "N1", "N0"]
    only = (await office.ask("GET", "/api/leads?source=footer")).json()["items"]
    assert [one["name"] for one in only] == ["N3"]
    office.clock.advance(86_400 * 10)
    assert await expire_leads(office.api.context.database, office.clock.now()) >= 3
    left = (await office.api.ok("GET", "/api/leads", tenant=office.tenant))["items"]
    assert [one["name"] for one in left] == ["N3"], "a year where no inbox says otherwise"
