"""A statement with its arguments, kept until somebody runs it: those that are alike can share a round trip."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from sivo.db.scopes import Connection

_PARAMETER = re.compile(r"\$(\d+)")


class Statement(NamedTuple):
    """``sql`` is a constant of its room (what differs is in ``args``), so that statements that are alike are equal."""

    sql: str
    args: tuple[Any, ...]

    async def run(self, connection: Connection) -> bool:
        """Run it by itself, inside a scope; whether a row was made or changed."""
        status = await connection.execute(self.sql, *self.args)
        return not status.endswith(" 0")


async def run_all(connection: Connection, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Run one statement once for each of ``rows``, in their order and in one round trip."""
    if len(rows) == 1:
        await connection.execute(sql, *rows[0])
    else:
        await connection.executemany(sql, rows)


def if_changed(change: str, then: str) -> str:
    """Both as one statement: ``then`` selects ``from changed``, the rows that ``change`` returned, so that it happens
    for what was changed and for nothing else. Its parameters come behind those of ``change``."""
    behind = max((int(number) for number in _PARAMETER.findall(change)), default=0)
    return f"with changed as ({change}) " + _PARAMETER.sub(lambda found: f"${int(found.group(1)) + behind}", then)
