"""The command line against a platform elsewhere: by URL and API key, with the same commands and exit statuses."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sivo.base.settings import Settings
from sivo.db.scopes import Database
from support.ports import free_port
from support.running_api import RunningApi, running_api

SCOPES = ("config:apply", "resources:write")


@pytest.fixture
async def api(settings: Settings, database: Database) -> AsyncIterator[RunningApi]:
    async with running_api(settings, database) as running:
        yield running


class Remote:
    """Runs ``sivo --url …``; SIVO_HOME points at nothing, so the local socket cannot help."""

    def __init__(self, api: RunningApi, key: str, nowhere: Path) -> None:
        self.url = api.url
        self.environment = {**os.environ, "SIVO_HOME": str(nowhere), "SIVO_API_KEY": key}
        for name in ("SIVO_URL", "SIVO_TENANT", "SIVO_API_KEY_FILE"):
            self.environment.pop(name, None)

    async def __call__(self, *arguments: str, status: int = 0, **environment: str) -> tuple[str, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sivo.cli.main", "--url", self.url, *arguments,
            env={**self.environment, **environment},
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == status, (arguments, out.decode(), err.decode())
        return out.decode(), err.decode()


async def key_for(api: RunningApi, tenant: str, *scopes: str) -> str:
    body = {"name": "ci", "role": "admin", "scopes": list(scopes)}
    return str((await api.ok("POST", "/api/api-keys", body, tenant))["key"])


async def test_a_pipeline_plans_and_applies_a_document_with_a_key(api: RunningApi, tmp_path: Path) -> None:
    tenant = await api.tenant("acme")
    await api.tenant("other")
    sivo = Remote(api, await key_for(api, tenant, *SCOPES), tmp_path / "nothing")
    await sivo("config", "set", "ai.max_turns", "7", "--reason", "trial")
    assert (await sivo("config", "get", "ai.max_turns", "--tenant", "acme"))[0].strip() == "7"
    assert (await api.ok("GET", "/api/config", tenant=tenant))["ai.max_turns"] == 7
    document = tmp_path / "acme.yaml"
    document.write_text((await sivo("config", "export"))[0])
    document.write_text(document.read_text().replace("ai.max_turns: 7", "ai.max_turns: 9"))
    out, _ = await sivo("config", "plan", str(document), "--exit-code", status=4)  # something differs
    assert "ai.max_turns" in out
    await sivo("config", "apply", str(document), "--yes", "--reason", "merged")
    assert (await api.ok("GET", "/api/config", tenant=tenant))["ai.max_turns"] == 9
    await sivo("config", "plan", str(document), "--exit-code")
    await sivo("did", "create", "--set", "number=+34910000001")
    assert "+34910000001" in (await sivo("did", "list"))[0]
    history = await api.ok("GET", "/api/config/history", tenant=tenant)
    assert {one["author"].partition(":")[0] for one in history["items"][:3]} == {"key"}


async def test_refusals_have_the_exit_statuses_of_the_local_command_line(api: RunningApi, tmp_path: Path) -> None:
    tenant = await api.tenant("acme")
    sivo = Remote(api, await key_for(api, tenant, "config:read"), tmp_path / "nothing")
    assert "INSUFFICIENT_SCOPE" in (await sivo("config", "set", "ai.max_turns", "7", status=1))[1]
    assert "API_KEY_CLOSED" in (await sivo("apikey", "list", status=1))[1]
    assert "other" in (await sivo("config", "get", "--tenant", "other", status=1))[1]
    assert "UNAUTHENTICATED" in (await sivo("config", "get", status=1, SIVO_API_KEY="sivo_wrong"))[1]
    assert "SIVO_API_KEY" in (await sivo("config", "get", status=2, SIVO_API_KEY=""))[1]
    assert "https" in (await _to(sivo, "http://192.0.2.1", 2))[1]
    await _to(sivo, f"http://127.0.0.1:{free_port()}", 3)
    # From a file, which an argument would not keep to itself.
    key = sivo.environment["SIVO_API_KEY"]
    file = tmp_path / "key"
    file.write_text(key + "\n")
    out, _ = await sivo("config", "get", "ai.max_turns", SIVO_API_KEY="", SIVO_API_KEY_FILE=str(file))
    assert out.strip() == "20"
    help_text = (await sivo("--help"))[0]
    assert "--key" not in help_text and "--api-key" not in help_text


async def _to(sivo: Remote, url: str, status: int) -> tuple[str, str]:
    there, sivo.url = sivo.url, url
    try:
        return await sivo("config", "get", status=status)
    finally:
        sivo.url = there


async def local(settings: Settings, *arguments: str, status: int = 0) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sivo.cli.main", *arguments, env={**os.environ, "SIVO_HOME": str(settings.home)},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == status, (arguments, out.decode(), err.decode())
    return out.decode() + err.decode()


async def test_keys_and_the_life_of_a_tenant_from_the_local_command_line(
    api: RunningApi, settings: Settings, tmp_path: Path
) -> None:
    await api.tenant("acme")
    made: dict[str, Any] = json.loads(
        await local(settings, "apikey", "create", "--name", "ci", "--scope", "config:read", "--role", "viewer")
    )
    assert made["prefix"] in await local(settings, "apikey", "list")
    assert (await api.http.get("/api/config", headers={"Authorization": f"Bearer {made['key']}"})).status_code == 200
    await local(settings, "apikey", "revoke", made["prefix"])
    assert made["prefix"] not in await local(settings, "apikey", "list")
    assert '"suspended"' in await local(settings, "tenant", "suspend", "acme")
    assert '"active"' in await local(settings, "tenant", "resume", "acme")
    await local(settings, "tenant", "delete", "acme", status=2)  # without a reason
    assert '"deleting"' in await local(settings, "tenant", "delete", "acme", "--reason", "contract ended")
    archive = tmp_path / "acme.tar"
    await local(settings, "tenant", "export", "acme", "--out", str(archive))
    assert archive.stat().st_mode & 0o777 == 0o600
    with tarfile.open(archive) as tar:
        assert tar.getnames() == ["configuration.yaml", "manifest.json"]
    await local(settings, "tenant", "export", "acme", "--out", str(archive), status=2)  # nothing is overwritten
    assert '"active"' in await local(settings, "tenant", "restore", "acme")
    assert '"violations": []' in await local(settings, "tenant", "plan", "acme", "--to", "starter")
