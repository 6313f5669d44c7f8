"""The command line as an operator uses it: a child process against a running ``api``, nothing else."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from sivo.base.settings import Settings
from sivo.db.scopes import Database
from support.running_api import RunningApi, running_api


@dataclass
class Outcome:
    """What a command printed, and how it ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Sivo:
    """Runs ``sivo …`` with the data directory of the test's node."""

    def __init__(self, settings: Settings) -> None:
        self.environment = {**os.environ, "SIVO_HOME": str(settings.home)}

    async def __call__(self, *arguments: str, stdin: str = "", status: int = 0) -> Outcome:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "sivo.cli.main",
            *arguments,
            env=self.environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(stdin.encode()), 60)
        outcome = Outcome(process.returncode or 0, out.decode(), err.decode())
        assert outcome.status == status, f"sivo {' '.join(arguments)}: {outcome}"
        return outcome


@pytest.fixture
async def api(settings: Settings, database: Database) -> AsyncIterator[RunningApi]:
    async with running_api(settings, database) as running:
        yield running


@pytest.fixture
def sivo(settings: Settings) -> Sivo:
    return Sivo(settings)


async def test_from_nothing_to_a_signed_in_admin(api: RunningApi, sivo: Sivo) -> None:
    tenant = (await sivo("tenant", "create", "--name", "Acme Ltd", "--slug", "acme")).json
    assert tenant["slug"] == "acme"
    assert "acme" in (await sivo("tenant", "list")).out
    admin = (await sivo("admin", "create", "--tenant", "acme", "--email", "ana@acme.example")).json
    answer = await api.login("ana@acme.example", admin["password"])
    assert answer.status_code == 200
    me = await api.http.get("/api/me", headers={"Authorization": f"Bearer {answer.json()['access_token']}"})
    assert (me.json()["role"], me.json()["tenant_id"]) == ("admin", tenant["id"])


async def test_an_admins_password_from_standard_input(api: RunningApi, sivo: Sivo) -> None:
    await sivo("tenant", "create", "--name", "Acme", "--slug", "acme")
    create = ("admin", "create", "-t", "acme", "--email", "ana@acme.example", "--password-stdin")
    refused = await sivo(*create, stdin="short\n", status=1)
    assert "PASSWORD_TOO_SHORT" in refused.err and "8 characters" in refused.err
    made = await sivo(*create, stdin="long enough now\n")
    assert "long enough" not in made.out
    assert (await api.login("ana@acme.example", "long enough now")).status_code == 200


async def test_a_tenant_is_provisioned_by_commands_alone(api: RunningApi, sivo: Sivo, tmp_path: Any) -> None:
    await sivo("tenant", "create", "--name", "Acme", "--slug", "acme")
    here = ("-t", "acme")
    user = (await sivo("user", "create", *here, "-s", "email=ana@acme.example", "-s", "name=Ana")).json
    extension = (await sivo("extension", "create", *here, "-s", "number=0100", "-s", f"user={user['id']}")).json
    assert extension["number"] == "0100"
    assert len(extension["sip_password"]) >= 16
    shown = (await sivo("extension", "get", extension["id"], *here)).out
    assert extension["sip_password"] not in shown
    agent_file = tmp_path / "agent.json"
    agent_file.write_text(json.dumps({"name": "Bot", "greeting": "Hi", "intents": []}))
    agent = (await sivo("ai-agent", "create", *here, "--file", str(agent_file), "-s", "language=en")).json
    assert (agent["greeting"], agent["language"]) == ("Hi", "en")
    trunk = (await sivo("trunk", "create", *here, "-s", "name=c", "-s", 'cidrs=["203.0.113.0/24"]')).json
    did = (
        await sivo(
            *("did", "create", *here, "-s", "number=+34910000100", "-s", f"trunk={trunk['id']}"),
            *("-s", "target.kind=ai_agent", "-s", f"target.id={agent['id']}"),
        )
    ).json
    assert did["target"] == {"kind": "ai_agent", "id": agent["id"]}
    for noun in ("recording-policy", "transcription-policy"):
        await sivo(noun, "create", *here, "-s", "name=all")
    await sivo("endpoint", "create", *here, "-s", "url=https://hooks.example/x", "-s", 'events=["call.ended"]')
    changed = (await sivo("did", "set", did["id"], *here, "-s", "active=false", "--reason", "número fuera")).json
    assert changed["active"] is False
    history = (await sivo("ledger", "history", *here)).out
    assert "número fuera" in history and f"local:{os.getuid()}" in history
    verified = (await sivo("ledger", "verify", *here)).json
    assert verified["ok"] is True
    await sivo("did", "delete", did["id"], *here)
    assert json.loads((await sivo("did", "list", *here, "--json")).out) == []


async def test_configuration_by_command(api: RunningApi, sivo: Sivo) -> None:
    await sivo("tenant", "create", "--name", "Acme", "--slug", "acme")
    here = ("-t", "acme")
    assert (await sivo("config", "get", "ai.max_turns", *here)).out == "20\n"
    assert (await sivo("config", "set", "ai.max_turns", "7", *here, "--reason", "shorter")).out == "ai.max_turns = 7\n"
    assert (await sivo("config", "get", *here)).json["ai.max_turns"] == 7
    explained = (await sivo("config", "explain", "ai.max_turns", *here)).out
    assert "tenant" in explained and "shorter" in explained
    refused = await sivo("config", "set", "ai.max_turns", "0", *here, status=1)
    assert "ai.max_turns" in refused.err and "Traceback" not in refused.err
    # A voice id of digits stays text; a list is JSON.
    await sivo("config", "set", "ai.tts_voice_id", "12345", *here)
    assert (await sivo("config", "get", *here)).json["ai.tts_voice_id"] == "12345"
    await sivo("config", "set", "auth.mfa_required_roles", '["superadmin"]', *here)
    assert (await sivo("config", "unset", "ai.max_turns", *here)).out == "ai.max_turns = 20\n"
    assert "ai.max_turns" in (await sivo("config", "schema")).out
    assert (await sivo("config", "schema", "ai.max_turns")).json["schema"]["maximum"] == 200


async def test_secrets_go_in_and_only_fingerprints_come_out(api: RunningApi, sivo: Sivo, database: Database) -> None:
    canary = "sk-canary-1234567890"
    tenant = (await sivo("tenant", "create", "--name", "Acme", "--slug", "acme")).json["id"]
    made = await sivo("secret", "set", "ai.llm", "-t", "acme", "--host", "api.example", stdin=canary)
    listed = await sivo("secret", "list", "-t", "acme")
    assert made.json["fingerprint"] in listed.out and "api.example" in listed.out
    assert canary not in made.out + made.err + listed.out
    stored = await api.context.vault.get_secret(api_uuid(tenant), "ai.llm")
    assert stored is not None and (stored.value, stored.host) == (canary, "api.example")
    await sivo("secret", "delete", "ai.llm", "-t", "acme")
    assert canary[:2] not in (await sivo("secret", "list", "-t", "acme")).out


def api_uuid(text: str) -> Any:
    from uuid import UUID

    return UUID(text)


async def test_what_goes_wrong_is_one_line_with_a_remedy(api: RunningApi, sivo: Sivo) -> None:
    unknown = await sivo("did", "list", "-t", "nobody", status=1)
    assert unknown.err.startswith("NOT_FOUND") and unknown.err.count("\n") == 1
    await sivo("tenant", "create", "--name", "Acme", "--slug", "acme")
    assert (await sivo("did", "list", "--json")).json == [], "the only tenant need not be named"
    await sivo("tenant", "create", "--name", "Other", "--slug", "other")
    assert "acme, other" in (await sivo("did", "list", status=2)).err
    nothing = await sivo("did", "create", "-t", "acme", status=2)
    assert "--set field=value" in nothing.err
    bad = await sivo("did", "create", "-t", "acme", "-s", "number=12", status=1)
    assert "number" in bad.err and "Traceback" not in bad.err


async def test_without_a_running_platform_the_command_says_how_to_start_it(sivo: Sivo) -> None:
    outcome = await sivo("tenant", "list", status=3)
    assert "sivo run" in outcome.err


async def test_a_wrong_role_and_a_wrong_setting_are_named(sivo: Sivo) -> None:
    assert "api, call, media" in (await sivo("run", "nonsense", status=2)).err
    sivo.environment["SIVO_HTTP_PORT"] = "eighty"
    outcome = await sivo("tenant", "list", status=2)
    assert "SIVO_HTTP_PORT" in outcome.err and "Traceback" not in outcome.err
