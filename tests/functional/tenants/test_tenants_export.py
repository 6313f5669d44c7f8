"""The archive of a tenant: everything of it, nothing of another, audio in the clear only when asked for."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import AsyncIterator

import pytest

from sivo.base.settings import Settings
from sivo.db.scopes import Database
from support.running_api import RunningApi, running_api
from support.tenant_estate import AUDIO, Estate

PASSWORD = "correct horse battery"


@pytest.fixture
async def api(settings: Settings, database: Database) -> AsyncIterator[RunningApi]:
    async with running_api(settings, database) as running:
        yield running


def members(archive: bytes) -> dict[str, bytes]:
    found = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for one in tar.getmembers():
            file = tar.extractfile(one)
            assert file is not None
            found[one.name] = file.read()
    return found


async def test_an_administrator_takes_the_own_tenant_along_and_no_other(api: RunningApi) -> None:
    estate, other = await Estate.make(api, "acme"), await Estate.make(api, "other")
    token = (await api.login("ana@acme.example", PASSWORD)).json()["access_token"]
    bearer = {"Authorization": f"Bearer {token}"}
    assert (await api.http.get(f"/api/tenants/{other.id}/export", headers=bearer)).status_code == 404
    answer = await api.http.get(f"/api/tenants/{estate.id}/export?audio=true", headers=bearer)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-tar")
    found = members(answer.content)
    assert set(found) == {
        "configuration.yaml",
        "calls-000001.jsonl",
        "transcripts-000001.jsonl",
        "recordings-000001.jsonl",
        f"audio/{estate.recording}.wav",
        "manifest.json",
    }
    assert found[f"audio/{estate.recording}.wav"] == AUDIO
    manifest = json.loads(found["manifest.json"])
    listed = {one["name"]: (one["size"], one["sha256"]) for one in manifest["members"]}
    assert listed == {
        name: (len(data), hashlib.sha256(data).hexdigest()) for name, data in found.items() if name != "manifest.json"
    }
    calls = [json.loads(line) for line in found["calls-000001.jsonl"].splitlines()]
    assert len(calls) == 2 and {one["from_number"] for one in calls} == {"+34910000001"}
    assert json.loads(found["transcripts-000001.jsonl"])["text"] == "hola"
    whole = b"".join(found.values())
    for secret in (b"sk-acme", other.id.encode(), b"wrapped_key", b"journal_path"):
        assert secret not in whole
    plain = await api.http.get(f"/api/tenants/{estate.id}/export", headers=bearer)
    assert not any(name.startswith("audio/") for name in members(plain.content))


async def test_one_lost_object_does_not_keep_the_others_from_their_owner(api: RunningApi, settings: Settings) -> None:
    estate = await Estate.make(api, "acme")
    for path in settings.object_dir.rglob("*.sivo"):
        path.unlink()
    answer = await api.local.get(f"/api/tenants/{estate.id}/export?audio=true")
    found = members(answer.content)
    assert b"FileNotFoundError" in found[f"audio/{estate.recording}.wav.error.txt"]
    assert "manifest.json" in found
