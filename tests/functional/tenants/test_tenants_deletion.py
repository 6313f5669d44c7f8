"""Deleting a tenant: refused at once, restored within the grace, unreadable and gone after it, whatever is killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from sivo.audit.checkpoints import Checkpoints
from sivo.base.clock import VirtualClock
from sivo.base.errors import SivoError
from sivo.base.settings import Settings
from sivo.config.resources import checkpoint_folder
from sivo.db.scopes import Database
from sivo.routing.live import LiveDirectory
from sivo.routing.loader import Loader
from sivo.storage.store import Objects
from sivo.tenants.erasure import CLAIM, Erasure
from sivo.tenants.tables import TENANT, tenant_tables
from sivo.vault.kek import FileKek
from sivo.vault.vault import Vault
from support.running_api import RunningApi, running_api
from support.tenant_estate import AUDIO, Estate

PASSWORD = "correct horse battery"
REASON = {"X-Change-Reason": "contract%20ended"}
GRACE = timedelta(days=30)


@pytest.fixture
async def api(settings: Settings, database: Database, clock: VirtualClock) -> AsyncIterator[RunningApi]:
    async with running_api(settings, database, clock) as running:
        yield running


@pytest.fixture
def erasure(settings: Settings, database: Database, clock: VirtualClock) -> Erasure:
    FileKek.load(settings.kek_file)
    vault = Vault(database, FileKek.load(settings.kek_file))
    return Erasure(database, vault, Objects.local(settings.object_dir), clock, checkpoint_folder(settings))


async def deleted(api: RunningApi, tenant: str) -> dict[str, Any]:
    answer: dict[str, Any] = await api.ok("DELETE", f"/api/tenants/{tenant}", headers=REASON)
    return answer


async def test_a_deleted_tenant_is_refused_everywhere_at_once_and_restored_as_it_was(
    api: RunningApi, settings: Settings, clock: VirtualClock
) -> None:
    tenant = await api.tenant("acme")
    await api.user(tenant, "ana@acme.example", PASSWORD, role="viewer")
    key = await api.ok("POST", "/api/api-keys", {"name": "k", "role": "viewer", "scopes": ["config:read"]}, tenant)
    token = (await api.login("ana@acme.example", PASSWORD)).json()["access_token"]
    bearers = [{"Authorization": f"Bearer {one}"} for one in (token, key["key"])]
    for bearer in bearers:
        assert (await api.http.get("/api/config", headers=bearer)).status_code == 200
    live = LiveDirectory(Loader(api.context.database, api.context.vault, settings))
    await live.refresh()
    assert live.current.tenant_of_domain("acme.sip.sivocenter.com") is not None

    answer = await api.local.delete(f"/api/tenants/{tenant}")
    assert (answer.status_code, answer.json()["where"]) == (422, "header X-Change-Reason")
    answer = await deleted(api, tenant)
    assert answer["status"] == "deleting" and answer["delete_at"] == (clock.now() + GRACE).isoformat()
    for bearer in bearers:
        assert (await api.http.get("/api/config", headers=bearer)).status_code == 401
    assert (await api.login("ana@acme.example", PASSWORD, source="127.0.0.3")).status_code == 401
    await live.refresh()
    assert live.current.tenant_of_domain("acme.sip.sivocenter.com") is None
    answer = await api.local.patch(f"/api/tenants/{tenant}", json={"status": "active"})
    assert (answer.status_code, answer.json()["code"]) == (409, "TENANT_DELETING")
    # Once more changes neither the date nor who asked.
    clock.advance(3600)
    assert (await deleted(api, tenant))["delete_at"] == (clock.now() - timedelta(hours=1) + GRACE).isoformat()

    assert (await api.ok("POST", f"/api/tenants/{tenant}/restore"))["status"] == "active"
    assert (await api.http.get("/api/config", headers=bearers[1])).status_code == 200
    assert (await api.login("ana@acme.example", PASSWORD, source="127.0.0.4")).status_code == 200
    await live.refresh()
    assert live.current.tenant_of_domain("acme.sip.sivocenter.com") is not None
    history = (await api.ok("GET", "/api/config/history", tenant=tenant))["items"]
    assert any(one["reason"] == "contract ended" for one in history)
    assert (await api.ok("GET", "/api/ledger/verify", tenant=tenant))["ok"]


async def test_a_suspended_tenant_is_suspended_again_after_a_restore(api: RunningApi, erasure: Erasure) -> None:
    tenant = await api.tenant("acme")
    await api.ok("PATCH", f"/api/tenants/{tenant}", {"status": "suspended"})
    await deleted(api, tenant)
    assert not await erasure.run_once()  # not due
    assert (await api.ok("POST", f"/api/tenants/{tenant}/restore"))["status"] == "suspended"


async def test_only_an_operator_deletes_and_only_with_a_fresh_factor(api: RunningApi) -> None:
    tenant = await api.tenant("acme")
    await api.user(tenant, "ana@acme.example", PASSWORD)
    token = (await api.login("ana@acme.example", PASSWORD)).json()["access_token"]
    bearer = {"Authorization": f"Bearer {token}", **REASON}
    for method, path in (("DELETE", ""), ("POST", "/restore")):
        answer = await api.http.request(method, f"/api/tenants/{tenant}{path}", headers=bearer)
        assert (answer.status_code, answer.json()["code"]) == (403, "INSUFFICIENT_ROLE")


async def test_after_the_grace_nothing_of_it_opens_with_the_master_key_and_nothing_is_left(
    api: RunningApi,
    erasure: Erasure,
    settings: Settings,
    database: Database,
    clock: VirtualClock,
    pg: Any,
    database_name: str,
) -> None:
    estate = await Estate.make(api, "acme")
    other = await Estate.make(api, "other")
    behind = await asyncpg.connect(pg.superuser_dsn(database_name))
    try:
        # What a thief who copied everything but the tenant's data key would hold.
        stolen = await estate.sealed(behind)
        assert await estate.opened(stolen, Vault(database, FileKek.load(settings.kek_file))) == [
            AUDIO,
            b"journal key",
            b"sk-acme",
        ]
        await deleted(api, estate.id)
        clock.advance(GRACE.total_seconds() + 1)
        assert await erasure.run_once()
        assert not await erasure.run_once()
        # In a new process with the master key, and in the one that had the key in its memory.
        for vault in (Vault(database, FileKek.load(settings.kek_file)), api.context.vault):
            for purpose, sealed in stolen.wrapped():
                async with asyncio.timeout(3):
                    while True:
                        try:
                            await vault.open(UUID(estate.id), purpose, sealed)
                        except SivoError as error:
                            assert error.code == "VAULT_SEAL_BROKEN"
                            break
                        assert vault is api.context.vault  # it has not been told yet
                        await asyncio.sleep(0.02)
        kek = FileKek.load(settings.kek_file)
        for row in await behind.fetch("select key_id, tenant_id, wrapped from tenant_key"):
            material = await kek.unwrap(row["wrapped"], f"{row['tenant_id']}|{row['key_id']}")
            assert stolen.key_material != material
        assert await estate.rows(behind) == {}
        assert not list(settings.object_dir.rglob(f"{estate.id}/**/*.sivo")) and not estate.journal.exists()
        assert Checkpoints(settings.home / "ledger").read(UUID(estate.id)) is None
        told = await behind.fetchrow("select * from deleted_tenant where id = $1", UUID(estate.id))
        assert told["finished_at"] is not None and told["reason"] == "contract ended" and told["objects"] == 1
        assert json.loads(told["rows"])["recording"] == 2  # one stored, one whose journal was still there
        # The neighbour lost nothing.
        assert await other.opened(await other.sealed(behind), api.context.vault) == [AUDIO, b"journal key", b"sk-other"]
        assert (await api.ok("GET", "/api/ledger/verify", tenant=other.id))["ok"]
    finally:
        await behind.close()
    again = await api.tenant("acme")  # the name is free
    assert again != estate.id
    answer = await api.local.post(f"/api/tenants/{estate.id}/restore")
    assert answer.status_code == 404


async def test_shredding_cannot_be_taken_back_and_a_restore_wins_until_then(
    api: RunningApi, erasure: Erasure, clock: VirtualClock, database: Database
) -> None:
    tenant = await api.tenant("acme")
    await deleted(api, tenant)
    clock.advance(GRACE.total_seconds() + 1)
    await api.ok("POST", f"/api/tenants/{tenant}/restore")  # late, but the worker has not come yet
    assert not await erasure.run_once()
    await deleted(api, tenant)
    async with database.platform("test: the keys are gone") as connection:
        await connection.execute("update tenant set shredded_at = now() where id = $1", UUID(tenant))
    answer = await api.local.post(f"/api/tenants/{tenant}/restore")
    assert (answer.status_code, answer.json()["code"]) == (410, "TENANT_SHREDDED")
    answer = await api.local.get(f"/api/tenants/{tenant}/export")
    assert (answer.status_code, answer.json()["code"]) == (410, "TENANT_SHREDDED")


async def test_every_tenant_table_is_found_and_emptied(
    api: RunningApi, erasure: Erasure, clock: VirtualClock, database: Database, pg: Any, database_name: str
) -> None:
    """A row in *every* table of the catalogue, a table that nobody knew of included."""
    tenant, neighbour = await api.tenant("acme"), await api.tenant("other")
    behind = await asyncpg.connect(pg.superuser_dsn(database_name))
    try:
        await behind.execute("create table made_later (id uuid primary key, tenant_id uuid not null, note text)")
        await behind.execute("alter table made_later owner to sivo_owner")
        await behind.execute("set role sivo_owner; select sivo_tenant_table('made_later'); reset role")
        catalogue = await behind.fetch(
            "select table_name from information_schema.columns join information_schema.tables using (table_name)"
            " where columns.table_schema = 'public' and column_name = 'tenant_id' and table_type = 'BASE TABLE'"
        )
        async with database.platform("test: tables") as connection:
            tables = await tenant_tables(connection)
        partitions = {
            row["name"] for row in await behind.fetch("select relname::text as name from pg_class where relispartition")
        }
        assert {row["table_name"] for row in catalogue} - partitions == {*tables, TENANT}
        for owner in (tenant, neighbour):
            for table in tables:
                await one_row(behind, table, UUID(owner))
        await deleted(api, tenant)
        clock.advance(GRACE.total_seconds() + 1)
        assert await erasure.run_once()
        for table in (*tables, TENANT):
            left = [row["tenant_id"] for row in await behind.fetch(f"select distinct tenant_id from {table}")]
            assert UUID(tenant) not in left and UUID(neighbour) in left, table
    finally:
        await behind.close()


async def one_row(behind: Any, table: str, tenant: UUID) -> None:
    """A row of made-up values; triggers, references and checks are out of the way."""
    columns = await behind.fetch(
        "select attname, format_type(atttypid, atttypmod) as type from pg_attribute where attrelid = $1::regclass"
        " and attnum > 0 and not attisdropped and attgenerated = '' and attidentity = ''"
        " and (attnotnull or attname = 'tenant_id')",
        table,
    )
    for check in await behind.fetch(
        "select conname from pg_constraint where contype = 'c' and conrelid = $1::regclass and conislocal", table
    ):
        await behind.execute(f'alter table {table} drop constraint "{check["conname"]}"')
    samples = {"uuid": "gen_random_uuid()", "bytea": "gen_random_bytes_()", "jsonb": "'{}'", "boolean": "true"}
    values = []
    for column in columns:
        kind = column["type"]  # some generated columns read JSON text
        if column["attname"] == "tenant_id":
            values.append(f"'{tenant}'")
        elif kind in samples and kind != "bytea":
            values.append(samples[kind])
        elif kind == "bytea":
            values.append("decode(md5(random()::text), 'hex')")
        elif kind.startswith("timestamp"):
            values.append("now()")
        elif kind.endswith("[]"):
            values.append("'{}'")
        elif kind == "xid8":
            values.append("'1'")
        elif kind in ("integer", "bigint", "smallint", "real", "numeric", "double precision"):
            values.append("(random() * 1000000)::int")
        else:
            values.append('\'{"author": "a", "reason": "r", "action": "a", "n": "\' || gen_random_uuid() || \'"}\'')
    names = ", ".join(f'"{column["attname"]}"' for column in columns)
    await behind.execute("set session_replication_role = replica")
    await behind.execute(f"insert into {table} ({names}) values ({', '.join(values)}) on conflict do nothing")
    await behind.execute("set session_replication_role = origin")


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from sivo.base.clock import VirtualClock
from sivo.audit.checkpoints import Checkpoints
from sivo.db.scopes import Database
from sivo.storage.store import Objects
from sivo.tenants import erasure
from sivo.vault.kek import FileKek
from sivo.vault.vault import Vault

home, seconds, after = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
erasure.BATCH = 1
whole, count = erasure.Erasure._still_here, 0

async def counted(self, *arguments, **more):
    global count
    count += 1
    if count == after:
        os.kill(os.getpid(), signal.SIGKILL)  # in the middle of a transaction
    await whole(self, *arguments, **more)

erasure.Erasure._still_here = counted

async def main():
    database = await Database.open(os.environ["SIVO_APP_DSN"])
    clock = VirtualClock()
    clock.advance(seconds)
    vault = Vault(database, FileKek.load(home / "kek"))
    job = erasure.Erasure(database, vault, Objects.local(home / "objects"), clock, Checkpoints(home / "ledger"))
    await job.run_once()

asyncio.run(main())
"""


@pytest.mark.parametrize("after", [1, 4, 12])
async def test_killed_in_the_middle_it_is_unreadable_already_and_finished_later(
    api: RunningApi,
    erasure: Erasure,
    settings: Settings,
    clock: VirtualClock,
    app_dsn: str,
    pg: Any,
    database_name: str,
    after: int,
) -> None:
    estate = await Estate.make(api, "acme")
    behind = await asyncpg.connect(pg.superuser_dsn(database_name))
    try:
        stolen = await estate.sealed(behind)
        await deleted(api, estate.id)
        clock.advance(GRACE.total_seconds() + 1)
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", KILLED, str(settings.home), str(GRACE.total_seconds() + 1), str(after),
            env={**os.environ, "SIVO_APP_DSN": app_dsn},
        )  # fmt: skip
        assert await asyncio.wait_for(child.wait(), 60) == -signal.SIGKILL
        assert await behind.fetchval("select count(*) from tenant_key where tenant_id = $1", UUID(estate.id)) == 0
        assert await estate.rows(behind) != {}
        vault = Vault(api.context.database, FileKek.load(settings.kek_file))
        for purpose, sealed in stolen.wrapped():
            with pytest.raises(SivoError, match="VAULT_SEAL_BROKEN"):
                await vault.open(UUID(estate.id), purpose, sealed)
        assert not await erasure.run_once()  # the dead worker still has its claim
        clock.advance(CLAIM.total_seconds() + 1)
        assert await erasure.run_once()
        assert await estate.rows(behind) == {}
        assert not list(settings.object_dir.rglob("*.sivo"))
    finally:
        await behind.close()
