"""Brings a database to the schema of this release.

Revisions are Alembic's, their content is plain SQL. Importing Alembic takes over a second, so it is imported only when
the stored revision is not ours already.
"""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import asyncpg

from sivo.base import logs
from sivo.base.errors import SivoError, register
from sivo.db.migrations import HEAD

SCHEMA_TOO_NEW = register("SCHEMA_TOO_NEW", 503)

_log = logs.get("db")
#: Alembic keeps its state in module globals, so one upgrade at a time in a process.
_one_at_a_time = threading.Lock()
FOLDER = Path(__file__).with_name("migrations")


async def current_revision(dsn: str) -> str | None:
    """The revision that the database stands at; None for an empty one."""
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        if await connection.fetchval("select to_regclass('public.alembic_version')") is None:
            return None
        revision: str | None = await connection.fetchval("select version_num from public.alembic_version")
        return revision
    finally:
        await connection.close()


async def migrate(owner_dsn: str) -> bool:
    """Upgrade to :data:`HEAD`; True when something was done. Safe to run from several processes at once.

    Raises :class:`SivoError` SCHEMA_TOO_NEW when the database was written by a later release.
    """
    revision = await current_revision(owner_dsn)
    if revision == HEAD:
        return False
    known = {path.name.split("_")[0] for path in (FOLDER / "versions").glob("[0-9]*.py")}
    if revision is not None and revision not in known:
        raise SivoError(
            SCHEMA_TOO_NEW,
            f"the database is at schema {revision}, this release knows up to {HEAD}",
            remedy="install the release that wrote it, or restore an older backup",
        )
    _log.info("migrating", start=revision or "empty", target=HEAD)
    await asyncio.to_thread(_upgrade, owner_dsn)
    return True


def _upgrade(owner_dsn: str) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["dsn"] = owner_dsn
    with _one_at_a_time:
        command.upgrade(config, "head")
