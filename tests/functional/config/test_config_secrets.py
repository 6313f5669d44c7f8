"""Planted canaries: a secret that goes in is in no table, log, error, answer, ledger entry or notification."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from sivo.base.clock import VirtualClock
from sivo.base.errors import SivoError
from sivo.base.settings import Settings
from sivo.config.change import Create, Delete, Scope, SetKey, Update
from sivo.config.key import Level
from sivo.db.scopes import Database
from support.plane import ADMIN, Plane, open_plane

CANARY = "canary-5f1e0c77d2b94a13"


@pytest.fixture
async def plane(settings: Settings, clock: VirtualClock, database: Database) -> Plane:
    return await open_plane(settings, clock, database)


async def _everything(dsn: str) -> AsyncIterator[tuple[str, str]]:
    """Every row of every table as text."""
    connection = await asyncpg.connect(dsn)
    try:
        tables = await connection.fetch(
            "select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace"
        )
        for table in tables:
            for row in await connection.fetch(f'select t::text as row from "{table["relname"]}" t'):
                yield table["relname"], row["row"]
    finally:
        await connection.close()


async def test_no_secret_is_found_anywhere(
    plane: Plane, pg: Any, database_name: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    heard: list[str] = []
    await plane.database.listen("sivo_config", heard.append)
    tenant = await plane.tenant()
    extension = await plane.create(tenant, "extension", number="1001", sip_password=f"{CANARY}-1")
    endpoint = await plane.create(tenant, "webhook_endpoint", url="https://example.com/h", secret=f"{CANARY}-2")
    await plane.create(tenant, "secret", name="llm_api_key", host="api.groq.com", value=f"{CANARY}-3")
    await plane.create(tenant, "trunk", name="t", host="sip.carrier.example", username="u", password=f"{CANARY}-4")
    await plane.apply(tenant, Update("extension", extension, {"sip_password": f"{CANARY}-5"}))
    scope = Scope(Level.ENDPOINT, str(endpoint))
    await plane.apply(tenant, SetKey("webhooks.signing_secret", f"{CANARY}-6-long-enough", scope))
    errors: list[str] = []
    for bad in (
        Create("extension", {"number": "1001", "sip_password": f"{CANARY}-7"}),
        Create("extension", {"number": "x", "sip_password": f"{CANARY}-8"}),
        Create("secret", {"name": f"Not/{CANARY}", "value": f"{CANARY}-9"}),
        Update("extension", extension, {"sip_password": CANARY * 40}),
        Update("extension", extension, {"sip_password": [CANARY]}),
        Update("extension", extension, {"nothing": CANARY}),
        SetKey("webhooks.signing_secret", f"{CANARY}\x00" * 30, scope),
    ):
        with pytest.raises(SivoError) as caught:
            await plane.apply(tenant, bad)
        errors += [str(caught.value), repr(caught.value.details), repr(bad)]
    await asyncio.sleep(0.05)
    rows = [(table, row) async for table, row in _everything(pg.superuser_dsn(database_name))]
    assert len(rows) > 20 and {"ledger_entry", "resource", "secret"} <= {table for table, _ in rows}
    hexed = CANARY.encode().hex()
    assert [table for table, row in rows if CANARY in row or hexed in row] == []
    captured = capfd.readouterr()
    assert CANARY not in captured.out + captured.err + caplog.text
    assert heard and CANARY not in "".join(heard)
    assert CANARY not in "".join(errors)
    for path in plane.settings.home.rglob("*"):
        assert not path.is_file() or CANARY.encode() not in path.read_bytes()
    resource = await plane.resources.get(tenant, "extension", extension)
    assert CANARY not in repr(resource)


async def _vault_value(plane: Plane, tenant: UUID, name: str) -> str | None:
    found = await plane.vault.get_secret(tenant, name)
    return found.value if found else None


async def test_secrets_are_usable_and_go_with_their_resource(plane: Plane) -> None:
    tenant = await plane.tenant()
    made = await plane.resources.create(tenant, "extension", {"number": "1001"}, author=ADMIN)
    name = f"extension/{made.resource.id}/sip_password"
    assert await _vault_value(plane, tenant, name) == made.generated["sip_password"]
    assert made.generated["sip_password"] not in repr(made)
    await plane.apply(tenant, Update("extension", made.resource.id, {"name": "Ana"}))
    assert await _vault_value(plane, tenant, name) == made.generated["sip_password"]
    await plane.apply(tenant, Update("extension", made.resource.id, {"sip_password": None}))
    assert await _vault_value(plane, tenant, name) is None
    assert (await plane.resources.get(tenant, "extension", made.resource.id)).secrets == {}
    await plane.apply(tenant, Update("extension", made.resource.id, {"sip_password": "another one"}))
    await plane.apply(tenant, Delete("extension", made.resource.id))
    assert await _vault_value(plane, tenant, name) is None


async def test_a_failed_set_leaves_no_secret_behind(plane: Plane) -> None:
    tenant = await plane.tenant()
    with pytest.raises(SivoError):
        await plane.apply(
            tenant,
            Create("secret", {"name": "llm_api_key", "value": "a-key", "host": "api.groq.com"}),
            Create("extension", {"number": "1001"}),
            Create("extension", {"number": "1001"}),
        )
    assert await plane.vault.list_secrets(tenant) == []


async def test_moving_to_another_host_asks_for_the_secret_again(plane: Plane) -> None:
    tenant = await plane.tenant()
    trunk = await plane.create(tenant, "trunk", name="t", host="sip.one.example", password="a-password")
    with pytest.raises(SivoError) as caught:
        await plane.apply(tenant, Update("trunk", trunk, {"host": "sip.two.example"}))
    assert "another host" in caught.value.message
    await plane.apply(tenant, Update("trunk", trunk, {"host": "sip.two.example", "password": "its password"}))
    stored = await plane.vault.get_secret(tenant, f"trunk/{trunk}/password")
    assert stored is not None and (stored.value, stored.host) == ("its password", "sip.two.example")
    await plane.apply(tenant, Update("trunk", trunk, {"host": "sip.one.example", "password": None}))
    assert await _vault_value(plane, tenant, f"trunk/{trunk}/password") is None


async def test_a_fingerprint_tells_in_the_ledger_that_a_secret_changed(plane: Plane) -> None:
    tenant = await plane.tenant()
    extension = await plane.create(tenant, "extension", number="1001", sip_password="first one")
    entry = await plane.apply(tenant, Update("extension", extension, {"sip_password": "second one"}))
    (change,) = entry.changes
    assert change.before["secrets"] != change.after["secrets"]
    assert change.before["body"] == change.after["body"]
    same = await plane.apply(tenant, Update("extension", extension, {"sip_password": "second one"}))
    assert not same.changed


async def test_an_engine_of_the_tenants_own_names_the_host_of_its_secret(plane: Plane) -> None:
    tenant = await plane.tenant()
    secret = await plane.create(tenant, "secret", name="stt_api_key", value="a-key", base_url="https://asr.example/v1")
    kept = await plane.vault.get_secret(tenant, "stt_api_key")
    assert kept is not None and (kept.value, kept.host) == ("a-key", "asr.example")
    await plane.apply(tenant, Update("secret", secret, {"base_url": "https://asr.example:8443/other/v1"}))
    for moved in ({"base_url": "https://two.example/v1"}, {"base_url": "https://two.example/v1", "host": None}):
        with pytest.raises(SivoError) as caught:
            await plane.apply(tenant, Update("secret", secret, moved))
        assert caught.value.code == "VALIDATION_FAILED"
    await plane.apply(tenant, Update("secret", secret, {**moved, "value": "its key"}))
    kept = await plane.vault.get_secret(tenant, "stt_api_key")
    assert kept is not None and (kept.value, kept.host) == ("its key", "two.example")
