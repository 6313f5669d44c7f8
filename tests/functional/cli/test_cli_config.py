"""``sivo config`` as people and scripts use it: a child process, its output, its exit status."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from test_cli_commands import Sivo

from sivo.base.settings import Settings
from sivo.db.scopes import Database
from support.running_api import RunningApi, running_api

DIFFERS = 4
HERE = ("-t", "acme")


@pytest.fixture
async def api(settings: Settings, database: Database) -> AsyncIterator[RunningApi]:
    async with running_api(settings, database) as running:
        await running.tenant("acme")
        yield running


@pytest.fixture
def sivo(settings: Settings) -> Sivo:
    return Sivo(settings)


async def test_values_come_and_go_with_their_reasons(api: RunningApi, sivo: Sivo) -> None:
    assert (await sivo("config", "set", *HERE, "ai.max_turns", "7", "--reason", "calls too long")).out == (
        "ai.max_turns = 7\n"
    )
    assert (await sivo("config", "get", *HERE, "ai.max_turns")).out == "7\n"
    explained = (await sivo("config", "explain", *HERE, "ai.max_turns")).out
    assert "from tenant" in explained and '"calls too long"' in explained and "default" in explained
    as_json = (await sivo("config", "explain", *HERE, "ai.max_turns", "--json")).json
    assert (as_json["value"], as_json["levels"][0]["reason"]) == (7, "calls too long")
    assert "calls too long" in (await sivo("config", "history", *HERE, "--key", "ai.max_turns")).out
    refused = await sivo("config", "set", *HERE, "ai.max_turns", "900", status=1)
    assert "ai.max_turns = 900: must be a whole number from 1 to 200" in refused.err
    suggestion = await sivo("config", "set", *HERE, "ai.max_turn", "9", status=1)
    assert "did you mean ai.max_turns" in suggestion.err
    unconfirmed = ("config", "set", *HERE, "sf.message_provider_name", "acme")
    assert "CONFIRMATION_REQUIRED" in (await sivo(*unconfirmed, status=1)).err
    await sivo(*unconfirmed, "--confirm", "sf.message_provider_name")
    assert (await sivo("config", "unset", *HERE, "ai.max_turns", "--json")).json == {"ai.max_turns": 20}
    assert (await sivo("config", "verify", *HERE)).json["ok"] is True


async def test_above_tenants_it_says_how_far_it_reaches_and_asks(api: RunningApi, sivo: Sivo) -> None:
    await api.tenant("beta", plan="starter")
    own = await api.tenant("gamma")
    await api.ok("PATCH", "/api/config", {"ai.max_turns": 5}, own)
    change = ("config", "set", "ai.max_turns", "33", "--scope", "plan:pro", "--lock")
    asked = await sivo(*change, status=2)
    assert "changes 2 tenants of 3" in asked.err and "--yes" in asked.err
    assert (await sivo("config", "get", *HERE, "ai.max_turns")).out == "20\n", "nothing was changed"
    assert (await sivo(*change, "--yes")).out == "ai.max_turns = 33\n"
    for tenant, value in (("acme", "33"), ("beta", "20"), ("gamma", "33")):
        assert (await sivo("config", "get", "-t", tenant, "ai.max_turns")).out == f"{value}\n"
    assert "locked at plan:pro" in (await sivo("config", "set", *HERE, "ai.max_turns", "9", status=1)).err
    await sivo("config", "unset", "ai.max_turns", "--scope", "plan:pro", "--yes")
    assert (await sivo("config", "get", "-t", "gamma", "ai.max_turns")).out == "5\n"


async def test_documents_are_planned_applied_compared_and_gone_back_from(
    api: RunningApi, sivo: Sivo, tmp_path: Path
) -> None:
    file, kept = tmp_path / "acme.yaml", tmp_path / "plan.json"
    await sivo("config", "export", *HERE, "-o", str(file))
    assert (await sivo("config", "diff", *HERE, "--file", str(file))).out == "nothing differs\n"
    file.write_text(file.read_text().replace("keys:\n", "keys:\n  ai.max_turns: 9\n"))
    drift = await sivo("config", "diff", *HERE, "--file", str(file), status=DIFFERS)
    assert drift.out == "+ ai.max_turns: - -> 9\n"
    await sivo("config", "plan", str(file), *HERE, "--out", str(kept), "--exit-code", status=DIFFERS)
    await sivo("config", "set", *HERE, "tenant.timezone", "Europe/Berlin")
    assert "PLAN_STALE" in (await sivo("config", "apply", str(kept), *HERE, status=1)).err
    await sivo("config", "unset", *HERE, "tenant.timezone")
    assert "PLAN_STALE" in (await sivo("config", "apply", str(kept), *HERE, status=1)).err
    await sivo("config", "plan", str(file), *HERE, "--out", str(kept))
    applied = await sivo("config", "apply", str(kept), *HERE, "--reason", "from Git")
    assert "+ ai.max_turns: - -> 9" in applied.out
    version = int(applied.out.rsplit("version ", 1)[1])
    between = await sivo("config", "diff", *HERE, str(version - 1), status=DIFFERS)
    assert between.out == "+ ai.max_turns: - -> 9\n"
    await sivo("config", "rollback", str(version - 1), *HERE)
    assert (await sivo("config", "get", *HERE, "ai.max_turns")).out == "20\n"
    assert (await sivo("config", "get", *HERE, "ai.max_turns", "--at", str(version))).out == "9\n"
    again = await sivo("config", "import", str(file), *HERE, "--json")
    assert again.json["changes"][0]["key"] == "ai.max_turns"
    refused = await sivo("config", "import", "/nowhere.yaml", *HERE, status=2)
    assert "cannot be read" in refused.err


async def test_by_url_with_a_key_it_works_on_the_tenant_of_the_key(
    api: RunningApi, sivo: Sivo, settings: Settings
) -> None:
    tenant = (await api.ok("GET", "/api/tenants"))["items"][0]["id"]
    await api.user(tenant, "ana@acme.example", "correct horse battery", role="supervisor")
    token = (await api.login("ana@acme.example", "correct horse battery")).json()["access_token"]
    elsewhere = Sivo(settings)
    elsewhere.environment |= {"SIVO_HOME": "/nonexistent", "SIVO_URL": api.url, "SIVO_API_KEY": token}
    assert (await elsewhere("config", "get", "ai.max_turns")).out == "20\n"
    assert "INSUFFICIENT_ROLE" in (await elsewhere("config", "set", "ai.max_turns", "3", status=1)).err
    elsewhere.environment["SIVO_API_KEY"] = "not-a-key"
    assert "UNAUTHENTICATED" in (await elsewhere("config", "get", "ai.max_turns", status=1)).err
    elsewhere.environment["SIVO_URL"] = "http://127.0.0.1:1"
    assert "does not answer" in (await elsewhere("config", "get", status=3)).err
    await asyncio.sleep(0)
    assert json.loads((await sivo("config", "schema", "--json")).out)[0]["since"] == "0.1.0"


async def test_every_tenant_is_exported_and_the_shell_completes_keys(
    api: RunningApi, sivo: Sivo, tmp_path: Path
) -> None:
    for number in range(30):
        await api.tenant(f"many-{number}")
    started = time.monotonic()
    assert "31 tenants exported" in (await sivo("config", "export", "--all", str(tmp_path))).out
    assert time.monotonic() - started < 20
    alone = (await sivo("config", "export", "-t", "many-7")).out
    assert (tmp_path / "many-7.yaml").read_text() == alone
    shell = {**sivo.environment, "_SIVO_COMPLETE": "complete_bash", "COMP_WORDS": "sivo config get ai.max"}
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("sivo")),
        env={**shell, "COMP_CWORD": "3"},
        stdout=asyncio.subprocess.PIPE,
    )
    assert (await process.communicate())[0].split() == [b"ai.max_turns", b"ai.max_duration_sec"]
