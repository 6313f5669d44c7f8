"""How a role of this node comes to its database."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from sivo.base.errors import SivoError
from sivo.base.settings import Settings
from sivo.db.scopes import OPEN_TIMEOUT_S, Database


def app_dsn_file(settings: Settings) -> Path:
    """The file (mode 0600) in which whoever prepared the database leaves the DSN of ``sivo_app``."""
    return settings.run_dir.absolute() / "app-dsn"


async def connect(settings: Settings, *, max_size: int = 10) -> Database:
    """Open the database of this node: ``SIVO_APP_DSN`` if set, else the DSN file (waited for up to 10 seconds).

    Raises :class:`SivoError` UNAVAILABLE when there is none or it does not answer.
    """
    return await Database.open(await _app_dsn(settings), max_size=max_size)


async def _app_dsn(settings: Settings) -> str:
    given = os.environ.get("SIVO_APP_DSN", "")
    if given:
        return given
    path = app_dsn_file(settings)
    deadline = time.monotonic() + OPEN_TIMEOUT_S
    while not path.exists():
        if time.monotonic() > deadline:
            raise SivoError(
                "UNAVAILABLE",
                "no database is prepared for this node",
                where=str(path),
                remedy="start `sivo run` first, or set SIVO_APP_DSN",
            )
        await asyncio.sleep(0.1)
    return path.read_text(encoding="utf-8").strip()
