"""Change-sets that wait: for their time and for a second person; done once, as planned, or held."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from sivo.base.clock import SystemClock, VirtualClock
from sivo.base.errors import SivoError
from sivo.base.settings import Settings
from sivo.config import proposal
from sivo.config.change import Author, Change, Create, Delete, Scope, SetKey, UnsetKey, Update
from sivo.config.key import Level
from sivo.config.kinds import PLATFORM_ID
from sivo.config.proposal import APPLIED, CANCELLED, HELD, PENDING, REJECTED, SCHEDULED, Proposal
from sivo.config.proposals import AwaitsApprovalError
from sivo.config.resources import Resources
from sivo.db.scopes import Database
from sivo.vault.kek import FileKek
from sivo.vault.vault import Vault
from support.plane import ADMIN, OPERATOR, Plane, open_plane

OTHER = Author("user:0198c5a0-0000-7000-8000-0000000000bb", "admin")
#: An API key of the first administrator.
KEY_OF_ADMIN = Author("key:0198c5a0-0000-7000-8000-0000000000cc", "admin", person=ADMIN.name)
HOUR = 3_600.0
PATIENCE_S = 60


@pytest.fixture
async def plane(settings: Settings, clock: VirtualClock, database: Database) -> Plane:
    return await open_plane(settings, clock, database)


async def later(
    plane: Plane, clock: VirtualClock, tenant: UUID, *changes: Change, author: Author = ADMIN, hours: float = 1
) -> Proposal:
    at = clock.now() + timedelta(hours=hours)
    return await plane.resources.proposals.propose(tenant, author, "at night", changes, apply_at=at)


async def now_of(plane: Plane, one: Proposal) -> Proposal:
    async with plane.database.tenant(one.tenant_id) as connection:
        return await proposal.get(connection, one.id)


async def events(plane: Plane, tenant: UUID) -> list[str]:
    async with plane.database.tenant(tenant) as connection:
        rows = await connection.fetch("select type from outbox where type like 'change.%' order by created_at")
    return [row["type"] for row in rows]


async def audited(plane: Plane, tenant: UUID) -> list[tuple[str, str]]:
    async with plane.database.tenant(tenant) as connection:
        rows = await connection.fetch(
            "select canonical::jsonb #>> '{actor,id}' as who, canonical::jsonb ->> 'event' as event from audit_inbox"
            " where canonical::jsonb ->> 'event' like 'change.%' order by at, id"
        )
    return [(row["who"], row["event"]) for row in rows]


async def waits(plane: Plane, tenant: UUID, *changes: Change, author: Author = ADMIN, reason: str = "x") -> Proposal:
    with pytest.raises(AwaitsApprovalError) as caught:
        await plane.apply(tenant, *changes, author=author, reason=reason)
    return caught.value.waiting


async def approval_on(plane: Plane, tenant: UUID) -> UUID:
    return await plane.create(tenant, "change_control", approval_required=True)


# --- time ------------------------------------------------------------------------------------------------------------


async def test_a_scheduled_change_is_made_when_it_is_due_and_in_its_authors_name(
    plane: Plane, clock: VirtualClock
) -> None:
    tenant = await plane.tenant()
    one = await later(plane, clock, tenant, SetKey("ai.max_turns", 7), Create("extension", {"number": "1001"}))
    assert (one.state, await plane.resources.proposals.step()) == (SCHEDULED, False)
    clock.advance(HOUR - 1)
    assert not await plane.resources.proposals.step(), "a second too early"
    clock.advance(1)
    assert await plane.resources.proposals.step() and not await plane.resources.proposals.step()
    done = await now_of(plane, one)
    assert (done.state, done.version, done.changes) == (APPLIED, 2, None)
    found = await plane.effective(tenant, "ai.max_turns")
    assert (found.value, found.author, found.reason) == (7, ADMIN.name, "at night")
    assert [each.body["number"] for each in await plane.resources.list(tenant, "extension")] == ["1001"]
    assert (await plane.verify(tenant)).ok


async def test_what_moved_meanwhile_holds_it_and_says_so(plane: Plane, clock: VirtualClock) -> None:
    tenant = await plane.tenant()
    agent = await plane.create(tenant, "ai_agent", name="Ada", greeting="Hello")
    key = await later(plane, clock, tenant, SetKey("ai.max_turns", 7))
    same = await later(plane, clock, tenant, Update("ai_agent", agent, {"greeting": "Good evening"}))
    gone = await later(plane, clock, tenant, UnsetKey("ai.max_duration_sec"), SetKey("ai.speech_min_ms", 500), hours=2)
    await plane.apply(tenant, SetKey("ai.max_turns", 9))
    await plane.apply(tenant, Update("ai_agent", agent, {"name": "Eva"}))  # another field of the same agent
    clock.advance(HOUR)
    while await plane.resources.proposals.step():
        pass
    held = await now_of(plane, key)
    assert held.state == HELD and held.held is not None
    assert [(one["field"], one["planned_on"], one["now"]) for one in held.held["moved"]] == [
        ("", False, None),
        ("locked", None, None),
        ("value", None, 9),
    ]
    assert (await plane.effective(tenant, "ai.max_turns")).value == 9
    assert (await now_of(plane, same)).state == APPLIED, "nothing that it touches has moved"
    body = (await plane.resources.get(tenant, "ai_agent", agent)).body
    assert (body["name"], body["greeting"]) == ("Eva", "Good evening")
    assert await events(plane, tenant) == ["change.held"]

    again, entry = await plane.resources.proposals.approve(tenant, ADMIN, key.id, seen=held.digest)
    assert entry is not None and (again.state, again.version) == (APPLIED, entry.seq)
    assert (await plane.effective(tenant, "ai.max_turns")).value == 7
    cancelled = await plane.resources.proposals.turn_down(tenant, OTHER, gone.id, CANCELLED, "no longer")
    assert (cancelled.state, cancelled.decided_by, cancelled.changes) == (CANCELLED, OTHER.name, None)
    clock.advance(HOUR)
    assert not await plane.resources.proposals.step()
    assert (await plane.effective(tenant, "ai.speech_min_ms")).value == 400


async def test_a_rule_that_it_would_break_by_then_holds_it(plane: Plane, clock: VirtualClock) -> None:
    tenant = await plane.tenant()
    await plane.apply(tenant, SetKey("auth.jwt_ttl_sec", 3_600))
    one = await later(plane, clock, tenant, SetKey("auth.refresh_ttl_sec", 7_200))
    await plane.apply(tenant, SetKey("auth.jwt_ttl_sec", 7_200))
    assert one.state == SCHEDULED
    with pytest.raises(SivoError):
        await later(plane, clock, tenant, SetKey("auth.refresh_ttl_sec", 7_200))  # refused when it is made already
    clock.advance(HOUR)
    assert await plane.resources.proposals.step()
    held = (await now_of(plane, one)).held
    assert held is not None and held["problem"]["code"] == "CONFIG_RULE_BROKEN"
    with pytest.raises(SivoError) as caught:
        await plane.resources.proposals.approve(tenant, ADMIN, one.id)
    assert (caught.value.code, (await now_of(plane, one)).state) == ("CHANGE_HELD", HELD)
    await plane.apply(tenant, SetKey("auth.jwt_ttl_sec", 3_600))
    done, _entry = await plane.resources.proposals.approve(tenant, ADMIN, one.id)
    assert done.state == APPLIED


async def test_a_secret_waits_sealed_and_is_gone_afterwards(plane: Plane, clock: VirtualClock) -> None:
    tenant, canary = await plane.tenant(), "canary-5f3b9a-secret"
    one = await later(plane, clock, tenant, Create("extension", {"number": "1001", "sip_password": canary}))
    endpoint = await later(plane, clock, tenant, Create("webhook_endpoint", {"url": "https://example.com/hook"}))

    async def row() -> str:
        async with plane.database.tenant(tenant) as connection:
            return str(await connection.fetchval("select p::text from proposal p where id = $1", one.id))

    assert canary not in await row() and canary.encode().hex() not in await row()
    assert canary not in str(one.body("admin"))
    clock.advance(HOUR)
    while await plane.resources.proposals.step():
        pass
    assert (await now_of(plane, one)).changes is None
    assert (await now_of(plane, endpoint)).state == APPLIED, "another generated secret is no other plan"
    made = (await plane.resources.list(tenant, "extension"))[0]
    stored = await plane.vault.get_secret(tenant, f"extension/{made.id}/sip_password")
    assert stored is not None and stored.value == canary


async def test_platform_values_can_be_scheduled_too(plane: Plane, clock: VirtualClock) -> None:
    tenant = await plane.tenant()
    change = SetKey("ai.max_turns", 33, Scope(Level.PLATFORM))
    await later(plane, clock, PLATFORM_ID, change, author=OPERATOR)
    clock.advance(HOUR)
    assert await plane.resources.proposals.step()
    assert (await plane.effective(tenant, "ai.max_turns")).value == 33


_WORKER = """
import asyncio
from sivo.base.settings import Settings
from sivo.node import worker_role
asyncio.run(worker_role.run(Settings(), asyncio.Event()))
"""


def worker(settings: Settings, app_dsn: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "SIVO_HOME": str(settings.home), "SIVO_APP_DSN": app_dsn}
    return subprocess.Popen([sys.executable, "-c", _WORKER], env=environment)


async def until(check: Any, patience_s: float = PATIENCE_S) -> None:
    async with asyncio.timeout(patience_s):
        while not await check():
            await asyncio.sleep(0.05)


async def test_a_worker_killed_in_the_middle_makes_each_change_exactly_once(
    settings: Settings, database: Database, app_dsn: str
) -> None:
    clock, count = SystemClock(), 8
    vault = Vault(database, FileKek.load(settings.kek_file))
    plane = Plane(settings, database, vault, await Resources.open(settings, clock, database, vault))
    tenant = await plane.tenant()
    agents = [await plane.create(tenant, "ai_agent", name=f"Agent {number}") for number in range(count)]
    at = clock.now() + timedelta(seconds=1)
    made = [
        await plane.resources.proposals.propose(
            tenant, ADMIN, "", [Update("ai_agent", agent, {"greeting": "Hi"})], apply_at=at
        )
        for agent in agents
    ]

    async def states(wanted: str) -> int:
        async with database.tenant(tenant) as connection:
            return int(await connection.fetchval("select count(*) from proposal where state = $1", wanted))

    async def waits_for_the_chain() -> bool:
        async with database.platform("test: who waits") as connection:
            return bool(await connection.fetchval("select count(*) from proposal where claimed_until is not null"))

    first = worker(settings, app_dsn)
    try:
        async with database.tenant(tenant) as connection:  # the worker gets as far as the chain's lock, no further
            await connection.fetchrow("select seq from ledger_head where tenant_id = $1 for update", tenant)
            await until(waits_for_the_chain)
            await asyncio.sleep(0.3)
            first.send_signal(signal.SIGKILL)
            first.wait()
        assert await states(SCHEDULED) == count
    finally:
        first.kill()
    clock_s = 0.0
    while await states(SCHEDULED):  # the dead worker's claim runs out, then two at once do what is left
        await asyncio.gather(*(_work_off(plane) for _ in range(2)))
        await asyncio.sleep(0.2)
        clock_s += 0.2
        assert clock_s < PATIENCE_S
    versions = sorted([(await now_of(plane, one)).version or 0 for one in made])
    head = (await plane.resources.tenant(tenant)).version
    assert versions == list(range(head - count + 1, head + 1)), "one entry each, and none besides"
    assert (await plane.verify(tenant)).ok


async def _work_off(plane: Plane) -> None:
    while await plane.resources.proposals.step():
        pass


# --- approval --------------------------------------------------------------------------------------------------------


async def test_with_approval_on_every_kind_of_write_waits_for_somebody_else(plane: Plane) -> None:
    tenant = await plane.tenant()
    extension = await plane.create(tenant, "extension", number="1001")
    control = await approval_on(plane, tenant)
    writes: Sequence[Sequence[Change]] = (
        [SetKey("ai.max_turns", 7)],
        [Update("extension", extension, {"name": "Front desk"})],
        [Create("recording_policy", {"name": "all"})],
        [Update("change_control", control, {"approval_required": False})],
        [Delete("change_control", control)],
    )
    version = (await plane.resources.tenant(tenant)).version
    waiting = [await waits(plane, tenant, *changes) for changes in writes]
    assert {one.state for one in waiting} == {PENDING}
    assert (await plane.resources.tenant(tenant)).version == version, "nothing was written"
    assert await events(plane, tenant) == ["change.waiting"] * len(writes)

    for author in (ADMIN, KEY_OF_ADMIN):
        with pytest.raises(SivoError) as caught:
            await plane.resources.proposals.approve(tenant, author, waiting[0].id)
        assert (caught.value.code, caught.value.status) == ("SELF_APPROVAL", 403)
    by_key = await waits(plane, tenant, SetKey("ai.speech_min_ms", 500), author=KEY_OF_ADMIN)
    with pytest.raises(SivoError, match="SELF_APPROVAL"):
        await plane.resources.proposals.approve(tenant, ADMIN, by_key.id)

    done, entry = await plane.resources.proposals.approve(tenant, OTHER, waiting[0].id, "looks right")
    assert entry is not None and (entry.author, entry.seq) == (ADMIN.name, version + 1)
    assert (done.state, done.decided_by, done.decision, done.approved) == (APPLIED, OTHER.name, "looks right", True)
    with pytest.raises(SivoError, match="CHANGE_NOT_OPEN"):
        await plane.resources.proposals.approve(tenant, OTHER, waiting[0].id)
    rejected = await plane.resources.proposals.turn_down(tenant, OTHER, waiting[1].id, REJECTED, "no")
    assert rejected.state == REJECTED
    await plane.resources.proposals.approve(tenant, OTHER, waiting[3].id)
    assert (await plane.apply(tenant, SetKey("ai.max_turns", 8))).changed, "it is off, as somebody else agreed"
    other = OTHER.name.removeprefix("user:")
    found = sorted(await audited(plane, tenant))  # all of it happened at one moment of the test's clock
    assert found == [(other, "change.approved"), (other, "change.approved"), (other, "change.rejected")]


async def test_what_is_approved_is_what_was_seen_or_it_is_held(plane: Plane, clock: VirtualClock) -> None:
    tenant = await plane.tenant()
    await approval_on(plane, tenant)
    first = await waits(plane, tenant, SetKey("ai.max_turns", 7))
    second = await waits(plane, tenant, SetKey("ai.max_turns", 8), author=OTHER)
    await plane.resources.proposals.approve(tenant, ADMIN, second.id)
    with pytest.raises(SivoError) as caught:
        await plane.resources.proposals.approve(tenant, OTHER, first.id)
    assert (caught.value.code, caught.value.status) == ("CHANGE_HELD", 409)
    assert (await plane.effective(tenant, "ai.max_turns")).value == 8
    with pytest.raises(SivoError, match="not the plan that you have seen"):
        await plane.resources.proposals.approve(tenant, OTHER, first.id, seen=first.digest)
    held = await now_of(plane, first)
    await plane.resources.proposals.approve(tenant, OTHER, first.id, seen=held.digest)
    assert (await plane.effective(tenant, "ai.max_turns")).value == 7


async def test_two_who_approve_at_once_make_it_once(plane: Plane) -> None:
    tenant = await plane.tenant()
    await approval_on(plane, tenant)
    one = await waits(plane, tenant, SetKey("ai.max_turns", 7))
    tries = [plane.resources.proposals.approve(tenant, who, one.id) for who in (OTHER, OPERATOR, OTHER, OPERATOR)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(not isinstance(found, BaseException) for found in results) == 1
    assert {found.code for found in results if isinstance(found, SivoError)} == {"CHANGE_NOT_OPEN"}


async def test_a_scheduled_change_needs_the_approval_that_was_asked_for_since(
    plane: Plane, clock: VirtualClock
) -> None:
    tenant = await plane.tenant()
    early = await later(plane, clock, tenant, SetKey("ai.max_turns", 7))
    await approval_on(plane, tenant)
    asked = await later(plane, clock, tenant, SetKey("ai.speech_min_ms", 500), hours=3)
    assert asked.state == PENDING
    approved, entry = await plane.resources.proposals.approve(tenant, OTHER, asked.id)
    assert (approved.state, entry) == (SCHEDULED, None)
    clock.advance(HOUR)
    assert await plane.resources.proposals.step()
    assert (await now_of(plane, early)).state == PENDING
    clock.advance(2 * HOUR)
    assert await plane.resources.proposals.step()
    assert (await now_of(plane, asked)).state == APPLIED
    assert (await plane.effective(tenant, "ai.max_turns")).value == 20


async def test_breaking_the_glass_leaves_its_mark_and_never_turns_the_switch(plane: Plane) -> None:
    tenant = await plane.tenant()
    control = await approval_on(plane, tenant)
    glass = plane.resources.proposals.break_glass
    with pytest.raises(SivoError, match="CHANGE_REASON_REQUIRED"):
        await glass(tenant, ADMIN, " ", [SetKey("ai.max_turns", 7)])
    with pytest.raises(SivoError, match="BREAK_GLASS_REFUSED"):
        off = Update("change_control", control, {"approval_required": False})
        await glass(tenant, ADMIN, "fire", [SetKey("ai.max_turns", 7), off])
    entry = await glass(tenant, ADMIN, "the agent talks for ever", [SetKey("ai.max_turns", 7)])
    assert (await plane.effective(tenant, "ai.max_turns")).value == 7
    assert await events(plane, tenant) == ["change.break_glass"]
    assert await audited(plane, tenant) == [(ADMIN.name.removeprefix("user:"), "change.break_glass")]
    async with plane.database.tenant(tenant) as connection:
        marks = await proposal.listing(connection, tenant, [APPLIED], None, 10)
    assert [(one.break_glass, one.version, one.reason) for one in marks] == [
        (True, entry.seq, "the agent talks for ever")
    ]


async def test_the_operators_own_work_on_a_tenant_waits_for_nobody(plane: Plane) -> None:
    tenant = await plane.tenant()
    await approval_on(plane, tenant)
    await plane.apply(tenant, Update("tenant", tenant, {"status": "suspended"}), author=OPERATOR)
    assert (await plane.resources.tenant(tenant)).status == "suspended"
    await waits(plane, tenant, SetKey("ai.max_turns", 7), author=OPERATOR)
