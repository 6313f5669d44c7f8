"""Random walks through change-sets: what was exported comes back the same, and a rollback restores every value."""

from __future__ import annotations

import random
from typing import Any
from uuid import UUID

import pytest

from sivo.base.clock import SystemClock
from sivo.base.errors import SivoError
from sivo.base.settings import Settings
from sivo.config import state
from sivo.config.change import Change, Create, Delete, Replace, Scope, SetKey, UnsetKey
from sivo.config.export import export
from sivo.config.going_back import way_back
from sivo.config.key import Level
from sivo.config.kinds import PLATFORM_ID
from sivo.config.past import picture
from sivo.config.plans import Planner
from sivo.config.registry import KEYS
from sivo.db.scopes import Database
from support.plane import OPERATOR, Plane, open_plane

VALUES: dict[str, list[Any]] = {
    "ai.max_turns": [1, 20, 77],
    "ai.tts_provider": ["openai", "local"],
    "auth.jwt_ttl_sec": [300, 3_600, 7_200],
    "auth.mfa_required_roles": [["superadmin"], ["agent", "superadmin"]],
    "recording.default_retention_days": [1, 20, 30],
    "tenant.default_locale": ["de", "en"],
    "tenant.timezone": ["Europe/Lisbon", "UTC"],
    "transcription.language": ["no", "fr"],
    "webhooks.timeout_ms": [500, 900],
}
STEPS = 25


def key_change(dice: random.Random, scope: Scope) -> Change:
    name = dice.choice([name for name in VALUES if scope.level in KEYS[name].scopes])
    if dice.random() < 0.3:
        return UnsetKey(name, scope)
    return SetKey(name, dice.choice(VALUES[name]), scope, dice.choice([None, None, True, False]))


def resource_change(dice: random.Random, there: list[state.Resource], number: int) -> Change:
    agents = [one for one in there if one.kind == "ai_agent"]
    policies = [one for one in there if one.kind == "recording_policy"]
    body = {"name": f"agent {number}", "prompt": dice.choice(["Be kind.\nBe short.\n", " é\t#: - ", "no"])}
    match dice.randrange(4):
        case 0:
            return Create("ai_agent", body)
        case 1 if agents:
            return Replace("ai_agent", dice.choice(agents).id, {**body, "language": dice.choice(["no", "en"])})
        case 2 if agents:
            return Delete("ai_agent", dice.choice(agents).id)
        case _ if policies:
            return Delete("recording_policy", policies[0].id)
    return Create("recording_policy", {"name": "all", "format": dice.choice(["wav", "ogg", None])})


async def effective(plane: Plane, tenant: UUID) -> tuple[dict[str, Any], list[state.Resource]]:
    async with plane.database.tenant(tenant) as connection:
        row = await state.known_tenant(connection, tenant)
        resolver = await state.resolver(connection, row, plane.settings)
        return resolver.values(), await state.resources(connection, tenant)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_export_and_rollback_restore_what_was(settings: Settings, database: Database, seed: int) -> None:
    plane = await open_plane(settings, SystemClock(), database)
    planner = Planner(settings, database, plane.resources)
    dice, tenant = random.Random(seed), await plane.tenant()

    async def text() -> str:
        now = await planner.now(tenant)
        return export([one for name in KEYS for one in now.resolver.levels(name)], now.resources)

    seen: dict[int, tuple[str, dict[str, Any]]] = {}
    for number in range(STEPS):
        values, there = await effective(plane, tenant)
        if number == 12:  # platform and plan belong to the walk, but not to what a tenant goes back to
            scope = dice.choice([Scope(Level.PLATFORM), Scope(Level.PLAN, "pro")])
            await plane.apply(PLATFORM_ID, SetKey("ai.max_duration_sec", 99, scope), author=OPERATOR)
            seen.clear()
            continue
        change = resource_change(dice, there, number) if dice.random() < 0.5 else key_change(dice, Scope())
        try:
            await plane.apply(tenant, change, author=OPERATOR)
        except SivoError as error:
            assert error.status in (409, 422), error
        values, _ = await effective(plane, tenant)
        seen[(await planner.now(tenant)).tenant.version] = (await text(), values)
    for version in dice.sample(sorted(seen), 4):
        document, values = seen[version]
        now = await picture(database, tenant, SystemClock().now())
        way = way_back(now, await picture(database, tenant, version))
        assert way.kept == ()
        await plane.apply(tenant, *way.changes, author=OPERATOR)
        assert (await effective(plane, tenant))[0] == values
        assert await text() == document
        other = dice.choice(sorted(seen))
        plan = await planner.plan(tenant, OPERATOR, seen[other][0])
        await planner.apply(plan, OPERATOR, "", digest=plan.digest)
        assert await text() == seen[other][0]
        assert (await effective(plane, tenant))[0] == seen[other][1]
    assert (await plane.verify(tenant)).ok
