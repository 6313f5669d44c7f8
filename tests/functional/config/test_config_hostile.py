"""What must not tear the configuration or leak from it: a kill in the middle of a change-set, a planted secret."""

from __future__ import annotations

import asyncio
import random
import sys
from collections import Counter
from pathlib import Path

from sivo.base.clock import SystemClock, VirtualClock
from sivo.base.settings import Settings
from sivo.db.scopes import Database
from support import apply_child
from support.plane import Plane, open_plane
from support.running_api import running_api

CANARY = "canary-9b77e1c5a0f24d38"


async def _kill_while_it_applies(settings: Settings, dsn: str, tenant: object, first: int, delay: float) -> int:
    """The last number that the child said was applied."""
    command = (sys.executable, str(Path(apply_child.__file__)), str(settings.home), dsn, str(tenant), str(first))
    child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert child.stdout is not None
    said = int(await asyncio.wait_for(child.stdout.readline(), 60))
    await asyncio.sleep(delay)
    child.kill()
    rest, _ = await child.communicate()
    return max([said, *map(int, rest.split())])


async def _whole(plane: Plane, tenant: object, said: int) -> int:
    """Check that every set is there whole or not at all; the number of the last one."""
    async with plane.database.tenant(tenant) as connection:  # type: ignore[arg-type]
        rows = await connection.fetch(
            "select key, value from config_value where tenant_id = $1 and key = any($2)", tenant, list(apply_child.KEYS)
        )
        bodies = await connection.fetch("select body from resource where kind = 'extension' order by id")
        reasons = await connection.fetch("select reason from ledger_entry where reason like 'number %' order by seq")
    numbers = [int(row["reason"].split()[1]) for row in reasons]
    assert Counter(row["body"]["number"] for row in bodies) == Counter(str(1000 + number) for number in numbers)
    assert {row["value"] for row in rows} == {3 + numbers[-1] % 17}, "keys of one set hold values of two"
    assert numbers[-1] - said in (0, 1), "what was said to be applied is not there"
    report = await plane.verify(tenant)  # type: ignore[arg-type]
    assert report.ok, report
    return numbers[-1]


async def test_a_kill_in_the_middle_leaves_all_or_nothing(settings: Settings, database: Database, app_dsn: str) -> None:
    plane = await open_plane(settings, SystemClock(), database)
    tenant = await plane.tenant()
    moments = random.Random(5)
    last = -1
    for _ in range(3):
        said = await _kill_while_it_applies(settings, app_dsn, tenant, last + 1, moments.uniform(0.01, 0.3))
        last = await _whole(plane, tenant, said)
    await plane.apply(tenant)  # nobody holds a lock any more


async def test_a_planted_secret_is_in_no_answer(settings: Settings, database: Database, clock: VirtualClock) -> None:
    async with running_api(settings, database, clock) as api:
        tenant = await api.tenant("acme")
        secret = {"value": f"{CANARY}-1", "host": "api.groq.com"}
        await api.ok("PUT", "/api/secrets/llm_api_key", secret, tenant)
        hook = {"name": "h", "url": "https://example.com/h", "secret": f"{CANARY}-2-long-enough"}
        made = await api.ok("POST", "/api/webhooks", hook, tenant)
        carrier = {"name": "c", "host": "sip.carrier.example", "username": "u", "password": f"{CANARY}-3"}
        await api.ok("POST", "/api/trunks", carrier, tenant)
        headers = {"X-Tenant-Id": tenant}
        document = (await api.local.get("/api/config/export", headers=headers)).text
        wrong = document + f"\n# {CANARY}\nsecrets:\n  llm_api_key: {CANARY}-4\n"
        asked = [
            await api.local.get(path, headers=headers)
            for path in (
                "/api/config",
                "/api/config?explain=1",
                f"/api/config?scope=endpoint:{made['id']}",
                f"/api/config/webhooks.signing_secret?scope=endpoint:{made['id']}",
                "/api/config/export",
                "/api/config/exports",
                "/api/config/history",
                "/api/config/diff?from=1",
                "/api/secrets",
                "/api/webhooks",
                "/api/trunks",
                "/api/audit",
            )
        ]
        planned = await api.local.post(
            "/api/config/plan", json={"document": document.replace("name: h", "name: g")}, headers=headers
        )
        refused = [
            await api.local.post("/api/config/plan", json={"document": wrong}, headers=headers),
            await api.local.put("/api/secrets/llm_api_key", json={"valu": f"{CANARY}-5"}, headers=headers),
            await api.local.post("/api/trunks", json={**carrier, "cidrs": f"{CANARY}-6"}, headers=headers),
            await api.local.patch(
                f"/api/config?scope=endpoint:{made['id']}",
                json={"webhooks.signing_secret": f"{CANARY}\x00"},
                headers=headers,
            ),
        ]
    assert planned.status_code == 200, planned.text
    assert all(answer.status_code >= 400 for answer in refused), [answer.status_code for answer in refused]
    assert sum(answer.status_code == 200 for answer in asked) >= 10, [answer.status_code for answer in asked]
    assert [str(one.request.url) for one in (*asked, planned, *refused) if CANARY in one.text] == []
