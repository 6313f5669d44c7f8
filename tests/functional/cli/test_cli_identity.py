"""Keys, limits and rescue by command: a child process against a running ``api``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from test_cli_commands import Sivo

from sivo.base.settings import Settings
from sivo.db.scopes import Database
from support.running_api import RunningApi, running_api

PASSWORD = "correct horse battery"
EMAIL = "ana@acme.example"


@pytest.fixture
async def api(settings: Settings, database: Database) -> AsyncIterator[RunningApi]:
    async with running_api(settings, database) as running:
        yield running


@pytest.fixture
def sivo(settings: Settings) -> Sivo:
    return Sivo(settings)


async def test_signing_keys_by_command(api: RunningApi, sivo: Sivo) -> None:
    assert "signing" in (await sivo("keys", "list")).out
    rotated = (await sivo("keys", "rotate")).out
    assert "published" in rotated and "signing" in rotated
    published = [key["kid"] for key in (await api.http.get("/.well-known/jwks.json")).json()["keys"]]
    assert len(published) == 2 and all(kid in rotated for kid in published)
    revoked = (await sivo("keys", "revoke", published[0], "--reason", "it leaked")).out
    assert published[0] not in revoked
    again = await sivo("keys", "revoke", published[0], "--reason", "again", status=1)
    assert "NOT_FOUND" in again.err


async def test_a_script_signs_in_honestly(api: RunningApi, sivo: Sivo) -> None:
    await sivo("tenant", "create", "--name", "Acme", "--slug", "acme")
    await sivo("admin", "create", "-t", "acme", "--email", EMAIL, "--password-stdin", stdin=f"{PASSWORD}\n")
    login = ("login", api.url, "--email", EMAIL)
    first = (await sivo(*login, stdin=f"{PASSWORD}\n")).json
    assert len(first["recovery_codes"]) == 8
    me = await api.http.get("/api/me", headers={"Authorization": f"Bearer {first['access_token']}"})
    assert me.json()["role"] == "admin"
    again = (await sivo(*login, stdin=f"{PASSWORD}\n{first['recovery_codes'][0]}\n")).json
    assert again["access_token"]
    wrong = await sivo(*login, stdin=f"{PASSWORD}\n000000\n", status=1)
    assert "MFA_FAILED" in wrong.err
    abroad = await sivo("login", "http://pbx.example.com", "--email", EMAIL, stdin=f"{PASSWORD}\n", status=2)
    assert "https" in abroad.err and PASSWORD not in abroad.err


async def test_limits_by_command(api: RunningApi, sivo: Sivo) -> None:
    assert "login" in (await sivo("limit", "list")).out
    await sivo("limit", "set", "login", "2", "--for", "network:127.0.60.0/24", "--reason", "a kiosk")
    statuses = [(await api.login(EMAIL, PASSWORD, "127.0.60.1")).status_code for _ in range(3)]
    assert statuses == [401, 401, 429]
    await sivo("limit", "unset", "login", "--for", "network:127.0.60.0/24")
    assert (await api.login(EMAIL, PASSWORD, "127.0.60.1")).status_code == 401
    refused = await sivo("limit", "set", "login", "2", "--for", "tenant:x", status=1)
    assert "VALIDATION_FAILED" in refused.err


async def test_rescue_by_command(api: RunningApi, sivo: Sivo) -> None:
    await sivo("tenant", "create", "--name", "Acme", "--slug", "acme")
    create = ("admin", "create", "-t", "acme", "--email", EMAIL, "--password-stdin")
    await sivo(*create, stdin=f"{PASSWORD}\n")
    first = (await api.login(EMAIL, PASSWORD)).json()
    assert len(first["recovery_codes"]) == 8, "the first sign-in of an admin enrols a second factor"
    for number in range(4):
        assert (await api.login(EMAIL, "wrong password", "127.0.61.1")).status_code == 401, number
    assert (await api.login(EMAIL, "wrong password", "127.0.61.1")).status_code == 401
    assert (await sivo("admin", "unlock", "-t", "acme", "--email", EMAIL)).json == {"was_locked": True}
    assert (await sivo("admin", "reset-factors", "-t", "acme", "--email", EMAIL)).json == {"removed": 1}
    again = (await api.login(EMAIL, PASSWORD, "127.0.61.2")).json()
    assert len(again["recovery_codes"]) == 8
    missing = await sivo("admin", "unlock", "-t", "acme", "--email", "nobody@acme.example", status=1)
    assert "no user" in missing.err


async def test_links_the_log_and_the_vault_by_command(api: RunningApi, sivo: Sivo, tmp_path: Path) -> None:
    await sivo("tenant", "create", "--name", "Acme", "--slug", "acme")
    invited = (await sivo("user", "invite", "-t", "acme", "--email", EMAIL, "--role", "agent")).json
    token = invited["link"].partition("#token=")[2]
    assert not invited["mailed"]
    body = {"token": token, "password": PASSWORD}
    assert (await api.http.post("/api/auth/invitation/accept", json=body)).is_success
    assert (await api.login(EMAIL, PASSWORD)).status_code == 200
    reset = (await sivo("user", "reset", EMAIL, "-t", "acme")).json
    assert reset["user_id"] == invited["user_id"] and "#token=" in reset["link"]
    assert "invitation.link_made" in (await sivo("audit", "list", "-t", "acme")).out
    narrowed = ("-t", "acme", "--event", "invitation.link_made", "--from", "2020-01-01T00:00:00Z", "--json")
    assert {one["event"] for one in (await sivo("audit", "list", *narrowed)).json} == {"invitation.link_made"}
    assert (await sivo("audit", "verify", "-t", "acme")).json["ok"] is True
    file = tmp_path / "log.csv"
    await sivo("audit", "export", "-t", "acme", "--resource-type", "user", "--out", str(file))
    assert "invitation.link_made" in file.read_text() and token not in file.read_text()
    assert "login.succeeded" not in file.read_text(), "that one is about a session"
    before = (await sivo("vault", "rotate-data-key", "-t", "acme")).json["key_id"]
    assert (await sivo("vault", "rotate-data-key", "-t", "acme")).json["key_id"] != before
    held = (await sivo("vault", "status")).out
    assert (await sivo("vault", "rotate")).out == held, "without another key there is nothing to wrap again"
    made = await sivo("vault", "make-key", str(tmp_path / "kek"))
    assert (tmp_path / "kek").stat().st_mode & 0o777 == 0o600 and (tmp_path / "kek").read_text() not in made.out
    assert (await sivo("vault", "make-key", str(tmp_path / "kek"), status=1)).err
