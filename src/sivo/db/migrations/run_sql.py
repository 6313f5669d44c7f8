"""How a revision runs a file of plain SQL."""

from __future__ import annotations

from pathlib import Path

import asyncpg
from alembic import op

_FOLDER = Path(__file__).with_name("sql")


def run_file(name: str) -> None:
    """Run every statement of ``sql/<name>`` in the revision's transaction; an error names the file and line."""
    sql = (_FOLDER / name).read_text(encoding="utf-8")
    # The driver's own connection takes several statements at once; SQLAlchemy's prepared ones do not.
    connection = op.get_bind().connection.dbapi_connection
    assert connection is not None
    try:
        connection.run_async(lambda driver: driver.execute(sql))
    except asyncpg.PostgresError as error:
        line = sql[: int(error.position)].count("\n") + 1 if error.position else "?"
        raise RuntimeError(f"{name}:{line}: {error}") from error
