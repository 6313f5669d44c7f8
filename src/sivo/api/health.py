"""``/healthz``: this process answers. ``/readyz``: what it needs to serve is there."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from sivo.api.context import Context
from sivo.base.errors import SivoError


async def _database_state(context: Context) -> str:
    try:
        async with context.database.directory() as connection:
            await connection.fetchval("select 1")
    except SivoError as error:
        return f"down: {error.code}"
    return "up"


def _media_state(context: Context) -> str:
    found = sorted(context.settings.run_dir.glob("media-*.sock"))
    return "up" if found else "down: no media process has opened its socket"


def make_router(context: Context) -> APIRouter:
    """Unauthenticated, and free of anything a stranger could learn from."""
    router = APIRouter(tags=["health"])

    @router.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/readyz")
    async def readyz(response: Response) -> dict[str, Any]:
        checks = {"database": await _database_state(context), "media": _media_state(context)}
        ready = all(state == "up" for state in checks.values())
        response.status_code = 200 if ready else 503
        return {"status": "ready" if ready else "not ready", "checks": checks}

    return router
