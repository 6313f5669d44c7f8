"""``/healthz``: this process answers. ``/readyz``: what it needs to serve is there."""

from __future__ import annotations

import os
from typing import Any

from fastapi import APIRouter, Response

from sivo.api.context import Context
from sivo.base.errors import SivoError
from sivo.base.settings import Settings


async def database_state(context: Context) -> str:
    """``up``, or why not."""
    try:
        async with context.database.directory() as connection:
            await connection.fetchval("select 1")
    except SivoError as error:
        return f"down: {error.code}"
    return "up"


def _media_state(settings: Settings) -> str:
    copies = settings.media_processes or os.cpu_count() or 1
    missing = [str(index) for index in range(copies) if not settings.media_socket(index).exists()]
    return f"down: no socket of media {', '.join(missing)}" if missing else "up"


def make_router(context: Context) -> APIRouter:
    """Unauthenticated, and free of anything a stranger could learn from."""
    router = APIRouter(tags=["health"])

    @router.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/readyz", responses={503: {"description": "Not ready: `checks` says what is missing."}})
    async def readyz(response: Response) -> dict[str, Any]:
        # A machine that runs this role alone has no media of its own, and needs none to serve.
        checks = {"database": await database_state(context)}
        if context.settings.supervised:
            checks["media"] = _media_state(context.settings)
        ready = all(state == "up" for state in checks.values())
        response.status_code = 200 if ready else 503
        return {"status": "ready" if ready else "not ready", "checks": checks}

    return router
