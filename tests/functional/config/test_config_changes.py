"""Change-sets on a real PostgreSQL: all or nothing, one after the other, and nothing beside them."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from sivo.base.clock import VirtualClock
from sivo.base.errors import SivoError
from sivo.base.settings import Settings
from sivo.config.change import Create, Delete, Scope, SetKey, UnsetKey, Update
from sivo.config.key import Level
from sivo.config.kinds import PLATFORM_ID
from sivo.db.scopes import Connection, Database
from support.plane import ADMIN, OPERATOR, Plane, open_plane

PLATFORM = Scope(Level.PLATFORM)


@pytest.fixture
async def plane(settings: Settings, clock: VirtualClock, database: Database) -> Plane:
    return await open_plane(settings, clock, database)


async def _counts(plane: Plane, tenant_id: UUID) -> tuple[int, ...]:
    async with plane.database.tenant(tenant_id) as connection:
        found = []
        for table in ("ledger_entry", "ledger_change", "config_value", "resource", "unique_name", "secret"):
            found.append(await connection.fetchval(f"select count(*) from {table} where tenant_id = $1", tenant_id))
    return tuple(found)


async def test_all_changes_of_a_set_are_made_in_one_entry(plane: Plane) -> None:
    tenant = await plane.tenant()
    entry = await plane.apply(
        tenant,
        SetKey("ai.max_turns", 3),
        SetKey("ai.max_duration_sec", 60),
        Create("extension", {"number": "1001"}),
        reason="go live",
    )
    assert entry.seq == 2 and len(entry.changes) == 3
    found = await plane.effective(tenant, "ai.max_turns")
    assert (found.value, found.author, found.reason) == (3, ADMIN.name, "go live")
    assert [one.body["number"] for one in await plane.resources.list(tenant, "extension")] == ["1001"]
    assert (await plane.verify(tenant)).ok


async def test_one_bad_change_undoes_the_whole_set(plane: Plane) -> None:
    tenant = await plane.tenant()
    before = await _counts(plane, tenant)
    good = [SetKey("ai.max_turns", 3), Create("extension", {"number": "1001", "sip_password": "a-password"})]
    for bad in (
        SetKey("ai.max_turns", 0),
        SetKey("ai.nothing", 1),
        Create("extension", {"number": "1001"}),
        Create("did", {"number": "+34910000100", "trunk": str(uuid4())}),
        Delete("extension", uuid4()),
        SetKey("auth.refresh_ttl_sec", 3600),
    ):
        with pytest.raises(SivoError):
            await plane.apply(tenant, *good, bad)
        assert await _counts(plane, tenant) == before
    assert (await plane.verify(tenant)).ok


async def test_a_failure_after_the_writes_undoes_them_too(plane: Plane) -> None:
    tenant = await plane.tenant()
    before = await _counts(plane, tenant)

    async def fail(connection: Connection) -> None:
        assert await connection.fetchval("select count(*) from config_value where tenant_id = $1", tenant) == 1
        raise RuntimeError("the process dies here")

    with pytest.raises(RuntimeError):
        await plane.resources.apply(tenant, ADMIN, "", [SetKey("ai.max_turns", 3)], also=fail)
    assert await _counts(plane, tenant) == before
    report = await plane.verify(tenant)
    assert report.ok and report.checkpoint == 1


async def test_what_belongs_to_the_step_is_committed_with_it(plane: Plane) -> None:
    tenant = await plane.tenant()

    async def also(connection: Connection) -> None:
        await connection.execute("insert into config_snapshot (tenant_id, hash, body) values ($1, 'h', '{}')", tenant)

    await plane.resources.apply(tenant, ADMIN, "", [SetKey("ai.max_turns", 3)], also=also)
    async with plane.database.tenant(tenant) as connection:
        assert await connection.fetchval("select count(*) from config_snapshot where tenant_id = $1", tenant) == 1


async def test_a_set_that_changes_nothing_is_no_entry(plane: Plane) -> None:
    tenant = await plane.tenant()
    await plane.apply(tenant, SetKey("ai.max_turns", 3))
    again = await plane.apply(tenant, SetKey("ai.max_turns", 3), UnsetKey("ai.speech_min_ms"))
    assert not again.changed and again.seq == 2
    assert (await _counts(plane, tenant))[0] == 2


async def test_concurrent_writers_get_consecutive_entries(plane: Plane) -> None:
    tenant = await plane.tenant()
    entries = await asyncio.gather(*(plane.apply(tenant, SetKey("ai.max_turns", 1 + n)) for n in range(12)))
    assert sorted(entry.seq for entry in entries) == list(range(2, 14))
    last = max(entries, key=lambda entry: entry.seq)
    assert (await plane.effective(tenant, "ai.max_turns")).value == last.changes[0].after["value"]
    assert (await plane.verify(tenant)).ok


BESIDE_THE_LEDGER = [
    "insert into config_value (tenant_id, scope, key, value, author, at, seq)"
    " values ($1, 'tenant', 'ai.max_duration_sec', '9', 'me', now(), 1)",
    "update config_value set value = '200' where tenant_id = $1",
    "delete from config_value where tenant_id = $1",
    "insert into resource (tenant_id, kind, id, body, version, created_at, updated_at)"
    " values ($1, 'extension', gen_random_uuid(), '{}', 1, now(), now())",
    "update resource set body = jsonb_set(body, '{number}', '\"1002\"') where tenant_id = $1",
    "delete from resource where tenant_id = $1",
    "update tenant set plan = 'enterprise' where id = $1",
    "update tenant set slug = 'other' where id = $1",
    "delete from tenant where id = $1",
    "insert into ledger_change (tenant_id, seq, n, target) values ($1, 1, 9, 'x')",
]


async def test_the_database_refuses_a_write_beside_the_ledger(plane: Plane) -> None:
    tenant = await plane.tenant()
    await plane.apply(tenant, SetKey("ai.max_turns", 3), Create("extension", {"number": "1001"}))
    for statement in BESIDE_THE_LEDGER:
        with pytest.raises(asyncpg.PostgresError, match=r"without a ledger entry|filled from ledger_entry"):
            async with plane.database.tenant(tenant) as connection:
                await connection.execute(statement, tenant)
        with pytest.raises(asyncpg.PostgresError, match=r"without a ledger entry|filled from ledger_entry"):
            async with plane.database.platform("test: beside the ledger") as connection:
                await connection.execute(statement, tenant)


@pytest.mark.parametrize("table", ["ledger_entry", "ledger_change"])
async def test_nobody_rewrites_or_deletes_entries(plane: Plane, table: str) -> None:
    tenant = await plane.tenant()
    for statement in (f"update {table} set seq = seq + 1", f"delete from {table}", f"truncate {table}"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with plane.database.tenant(tenant) as connection:
                await connection.execute(statement)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with plane.database.platform("test: rewrite") as connection:
                await connection.execute(statement)


async def test_an_entry_covers_only_what_it_says(plane: Plane) -> None:
    tenant = await plane.tenant()

    async def more(connection: Connection) -> None:
        await connection.execute("update config_value set value = '4' where tenant_id = $1", tenant)

    with pytest.raises(asyncpg.PostgresError, match="without a ledger entry"):
        await plane.resources.apply(tenant, ADMIN, "", [SetKey("ai.max_turns", 3)], also=more)


async def test_a_crowd_of_writers_does_not_exhaust_the_pool(plane: Plane) -> None:
    """More writers than connections, each needing to look beyond its tenant."""
    tenant = await plane.tenant("Crowd")
    made = await asyncio.gather(
        *(plane.tenant("Crowd", slug=f"crowd-no-{n}") for n in range(8)),
        *(plane.apply(tenant, SetKey("tenant.slug", f"crowd-x{n}")) for n in range(8)),
        *(plane.apply(PLATFORM_ID, SetKey("ai.max_turns", 10 + n, PLATFORM), author=OPERATOR) for n in range(8)),
    )
    assert len(made) == 24
    for chain in (tenant, PLATFORM_ID):
        assert (await plane.verify(chain)).ok


async def test_a_change_is_announced_with_its_version(plane: Plane) -> None:
    heard: asyncio.Queue[Any] = asyncio.Queue()
    await plane.database.listen("sivo_config", lambda payload: heard.put_nowait(json.loads(payload)))
    tenant = await plane.tenant()
    await plane.apply(tenant, SetKey("ai.max_turns", 3))
    async with asyncio.timeout(5):
        assert await heard.get() == {"tenant": str(tenant), "version": 1}
        assert await heard.get() == {"tenant": str(tenant), "version": 2}
    assert (await plane.resources.tenant(tenant)).version == 2


async def test_stale_versions_are_refused(plane: Plane) -> None:
    tenant = await plane.tenant()
    extension = await plane.create(tenant, "extension", number="1001")
    seen = (await plane.resources.get(tenant, "extension", extension)).version
    await plane.apply(tenant, Update("extension", extension, {"name": "first"}, seen))
    for change in (Update("extension", extension, {"name": "second"}, seen), Delete("extension", extension, seen)):
        with pytest.raises(SivoError) as caught:
            await plane.apply(tenant, change)
        assert (caught.value.code, caught.value.status) == ("VERSION_CONFLICT", 412)
    assert (await plane.resources.get(tenant, "extension", extension)).body["name"] == "first"


async def test_names_are_unique_where_they_have_to_be(plane: Plane) -> None:
    one, two = await plane.tenant("One"), await plane.tenant("Two")
    for tenant in (one, two):
        await plane.create(tenant, "extension", number="1001")
    await plane.create(one, "did", number="+34910000100")
    await plane.create(one, "user", email="ana@example.com", name="Ana")
    for tenant, kind, body in (
        (one, "extension", {"number": "1001"}),
        (two, "did", {"number": "+34910000100"}),
        (two, "user", {"email": "ANA@example.com", "name": "Other"}),
    ):
        with pytest.raises(SivoError) as caught:
            await plane.create(tenant, kind, **body)
        assert caught.value.code == "ALREADY_EXISTS"
        assert str(one) not in str(caught.value)
    did = (await plane.resources.list(one, "did"))[0].id
    await plane.apply(one, Delete("did", did))
    await plane.create(two, "did", number="+34910000100")


async def test_a_name_can_change_hands_within_one_set(plane: Plane) -> None:
    tenant = await plane.tenant()
    old = await plane.create(tenant, "extension", number="1001")
    await plane.apply(tenant, Delete("extension", old), Create("extension", {"number": "1001", "name": "new"}))
    assert [one.body["name"] for one in await plane.resources.list(tenant, "extension")] == ["new"]


async def test_slugs_are_generated_and_never_collide(plane: Plane) -> None:
    slugs = [(await plane.resources.tenant(await plane.tenant("Café Solo"))).slug for _ in range(3)]
    assert slugs == ["cafe-solo", "cafe-solo-2", "cafe-solo-3"]
    at_once = await asyncio.gather(*(plane.tenant("Café Doble") for _ in range(4)))
    slugs = [(await plane.resources.tenant(tenant)).slug for tenant in at_once]
    assert sorted(slugs) == ["cafe-doble", "cafe-doble-2", "cafe-doble-3", "cafe-doble-4"]
    for slug in ("cafe-solo", "admin"):
        with pytest.raises(SivoError):
            await plane.tenant("Other", slug=slug)


async def test_an_old_domain_stays_valid_for_seven_days_and_is_free_then(plane: Plane, clock: VirtualClock) -> None:
    tenant, other = await plane.tenant("Acme"), await plane.tenant("Other")
    await plane.apply(tenant, SetKey("tenant.sip_domain", "pbx.acme.example"))
    await plane.apply(tenant, SetKey("tenant.sip_domain", "voice.acme.example"))

    async def owner(domain: str) -> UUID | None:
        async with plane.database.directory() as connection:
            row = await connection.fetchrow(
                "select tenant_id, valid_until from name_directory where space = 'tenant.sip_domain' and name = $1",
                domain,
            )
        return row["tenant_id"] if row and (row["valid_until"] is None or row["valid_until"] > clock.now()) else None

    assert await owner("pbx.acme.example") == tenant
    assert await owner("voice.acme.example") == tenant
    clock.advance(timedelta(days=7).total_seconds() - 1)
    assert await owner("pbx.acme.example") == tenant
    with pytest.raises(SivoError):
        await plane.apply(other, SetKey("tenant.sip_domain", "pbx.acme.example"))
    clock.advance(2)
    assert await owner("pbx.acme.example") is None
    await plane.apply(other, SetKey("tenant.sip_domain", "pbx.acme.example"))
    assert await owner("pbx.acme.example") == other


async def test_slug_key_and_tenant_are_one(plane: Plane) -> None:
    tenant = await plane.tenant("Acme")
    await plane.apply(tenant, SetKey("tenant.slug", "beta"))
    assert (await plane.resources.tenant(tenant)).slug == "beta"
    assert (await plane.effective(tenant, "tenant.sip_domain")).value == "beta.sip.sivocenter.com"
    await plane.apply(tenant, Update("tenant", tenant, {"slug": "gamma"}), author=OPERATOR)
    assert (await plane.effective(tenant, "tenant.slug")).value == "gamma"
    await plane.apply(tenant, UnsetKey("tenant.slug"))
    assert (await plane.effective(tenant, "tenant.slug")).value == "acme"
    assert (await plane.verify(tenant)).ok


async def test_references_are_checked_both_ways(plane: Plane) -> None:
    tenant, other = await plane.tenant("One"), await plane.tenant("Two")
    agent = await plane.create(tenant, "ai_agent", name="Ana")
    target = {"kind": "ai_agent", "id": str(agent)}
    did = await plane.create(tenant, "did", number="+34910000100", target=target)
    with pytest.raises(SivoError) as caught:
        await plane.apply(tenant, Delete("ai_agent", agent))
    assert caught.value.code == "RESOURCE_IN_USE"
    with pytest.raises(SivoError):
        await plane.create(other, "did", number="+34910000101", target=target)
    with pytest.raises(SivoError):
        await plane.create(tenant, "did", number="+34910000101", target={"kind": "extension", "id": str(agent)})
    await plane.apply(tenant, Delete("ai_agent", agent), Update("did", did, {"target": None}))


async def test_platform_and_plan_values_reach_tenants_and_can_be_locked(plane: Plane) -> None:
    pro, starter = await plane.tenant("One"), await plane.tenant("Two", plan="starter")
    await plane.apply(PLATFORM_ID, SetKey("ai.max_turns", 40, PLATFORM), author=OPERATOR)
    await plane.apply(PLATFORM_ID, SetKey("ai.max_turns", 60, Scope(Level.PLAN, "pro")), author=OPERATOR)
    assert [(await plane.effective(t, "ai.max_turns")).source for t in (pro, starter)] == ["plan:pro", "platform"]
    await plane.apply(pro, SetKey("ai.max_turns", 5))
    assert (await plane.effective(pro, "ai.max_turns")).value == 5
    await plane.apply(PLATFORM_ID, SetKey("ai.max_turns", 40, PLATFORM, locked=True), author=OPERATOR)
    assert (await plane.effective(pro, "ai.max_turns")).value == 40
    assert (await plane.verify(PLATFORM_ID)).ok


#: (on the platform itself, change)
OUT_OF_PLACE: list[tuple[bool, SetKey | Create]] = [
    (False, SetKey("ai.max_turns", 5, PLATFORM)),
    (True, SetKey("ai.max_turns", 5)),
    (True, SetKey("ai.max_turns", 5, Scope(Level.PLAN, "gold"))),
    (True, SetKey("tenant.timezone", "Europe/Berlin", Scope(Level.AGENT, "x"))),
    (True, SetKey("tenant.slug", "acme", PLATFORM)),
    (True, Create("extension", {"number": "1001"})),
    (False, SetKey("sf.connected_orgs", [])),
    (False, SetKey("sf.jwt_keypair_id", "global", Scope(Level.ORG, "00D"))),
    (False, SetKey("webhooks.timeout_ms", 900, Scope(Level.ENDPOINT, "x"))),
    (False, SetKey("ai.max_turns", 9, Scope(Level.ENDPOINT, str(uuid4())))),
]


async def test_keys_are_set_only_where_the_reference_says(plane: Plane) -> None:
    tenant = await plane.tenant()
    for on_platform, change in OUT_OF_PLACE:
        with pytest.raises(SivoError) as caught:
            await plane.apply(PLATFORM_ID if on_platform else tenant, change, author=OPERATOR)
        assert caught.value.status in (422, 404), change


async def test_roles_are_checked_inside_the_plane_too(plane: Plane) -> None:
    tenant = await plane.tenant()
    viewer = type(ADMIN)("user:v", "viewer")
    for author, change in (
        (viewer, SetKey("ai.max_turns", 5)),
        (viewer, Create("extension", {"number": "1001"})),
        (ADMIN, Update("tenant", tenant, {"plan": "enterprise"})),
        (ADMIN, Create("user", {"email": "s@example.com", "name": "S", "role": "superadmin"})),
    ):
        with pytest.raises(SivoError) as caught:
            await plane.apply(tenant, change, author=author)
        assert caught.value.code == "INSUFFICIENT_ROLE"
    with pytest.raises(SivoError):
        await plane.apply(PLATFORM_ID, SetKey("ai.max_turns", 5, PLATFORM))


async def test_a_smaller_plan_is_refused_while_retention_is_above_it(plane: Plane) -> None:
    tenant = await plane.tenant(plan="enterprise")
    await plane.apply(tenant, SetKey("recording.default_retention_days", 400))
    policy = await plane.create(tenant, "recording_policy", name="all", retention_days=90)
    down = Update("tenant", tenant, {"plan": "starter"})
    with pytest.raises(SivoError):
        await plane.apply(tenant, down, author=OPERATOR)
    await plane.apply(tenant, UnsetKey("recording.default_retention_days"))
    with pytest.raises(SivoError):
        await plane.apply(tenant, down, author=OPERATOR)
    await plane.apply(tenant, Update("recording_policy", policy, {"retention_days": 30}), down, author=OPERATOR)
    assert (await plane.effective(tenant, "recording.default_retention_days")).value == 30


async def test_a_platform_value_that_breaks_a_tenant_is_refused(plane: Plane) -> None:
    fine, tight = await plane.tenant("Fine"), await plane.tenant("Tight")
    await plane.apply(tight, SetKey("auth.jwt_ttl_sec", 3600), SetKey("auth.refresh_ttl_sec", 7200))
    await plane.apply(tight, UnsetKey("auth.jwt_ttl_sec"), SetKey("auth.refresh_ttl_sec", 90_000))
    for scope in (PLATFORM, Scope(Level.PLAN, "pro")):
        with pytest.raises(SivoError) as caught:
            await plane.apply(PLATFORM_ID, SetKey("auth.jwt_ttl_sec", 100_000, scope), author=OPERATOR)
        assert caught.value.details["tenants"] == ["tight"]
    starter = Scope(Level.PLAN, "starter")
    await plane.apply(PLATFORM_ID, SetKey("auth.jwt_ttl_sec", 100_000, starter), author=OPERATOR)
    assert (await plane.effective(fine, "auth.jwt_ttl_sec")).value == 86_400


async def test_an_endpoints_keys_live_in_the_endpoint(plane: Plane) -> None:
    tenant = await plane.tenant()
    endpoint = await plane.create(tenant, "webhook_endpoint", url="https://example.com/hook")
    scope = Scope(Level.ENDPOINT, str(endpoint))
    secret = "a-signing-secret-of-our-own"
    await plane.apply(
        tenant, SetKey("webhooks.timeout_ms", 700, scope), SetKey("webhooks.signing_secret", secret, scope)
    )
    found = await plane.resources.get(tenant, "webhook_endpoint", endpoint)
    assert found.body["timeout_ms"] == 700
    stored = await plane.vault.get_secret(tenant, f"webhook_endpoint/{endpoint}/secret")
    assert stored is not None and stored.value == secret
    await plane.apply(tenant, UnsetKey("webhooks.timeout_ms", scope))
    assert (await plane.resources.get(tenant, "webhook_endpoint", endpoint)).body["timeout_ms"] is None
