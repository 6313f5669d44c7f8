"""/healthz says the process lives; /readyz follows the database and the sockets of the media processes."""

from __future__ import annotations

from sivo.base.settings import Settings
from sivo.db.scopes import Database
from support.postgres_gate import postgres_gate
from support.running_api import running_api


async def test_health_and_readiness_while_parts_come_and_go(settings: Settings, app_dsn: str) -> None:
    two = settings.model_copy(update={"media_processes": 2, "supervised": True})
    async with postgres_gate(app_dsn, settings.run_dir) as gate:
        database = await Database.open(gate.dsn)
        async with running_api(two, database) as api:
            assert (await api.http.get("/healthz")).json() == {"status": "ok"}
            two.media_socket(0).touch()
            waiting = await api.http.get("/readyz")
            assert waiting.status_code == 503
            assert waiting.json()["checks"] == {"database": "up", "media": "down: no socket of media 1"}
            two.media_socket(1).touch()
            assert (await api.http.get("/readyz")).status_code == 200

            await gate.shut()
            gone = await api.http.get("/readyz")
            assert (gone.status_code, gone.json()["checks"]["database"]) == (503, "down: UNAVAILABLE")
            login = await api.http.post("/api/auth/login", json={"email": "a@b.example", "password": "x"})
            assert (login.status_code, login.json()["code"]) == (503, "UNAVAILABLE")
            assert (await api.http.get("/healthz")).status_code == 200

            await gate.open()
            assert (await api.http.get("/readyz")).status_code == 200
        await database.close()


async def test_an_api_without_media_on_its_machine_is_ready_with_the_database_alone(
    settings: Settings, app_dsn: str
) -> None:
    database = await Database.open(app_dsn)
    async with running_api(settings, database) as api:
        ready = await api.http.get("/readyz")
        assert (ready.status_code, ready.json()) == (200, {"status": "ready", "checks": {"database": "up"}})
    await database.close()
