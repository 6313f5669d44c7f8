"""Writes of many calls as few round trips: statements that are alike go together, and each call keeps its order. Pure.

A call is some thirty statements. Calls that begin, ring and end at the same time make the same ones, and what a
statement costs is mostly its round trip, not its row.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sivo.db.scopes import Connection
from sivo.db.statement import Statement, run_all

#: What runs by itself, because what it does depends on what it finds.
Apply = Callable[[Connection], Awaitable[None]]


@dataclass(slots=True)
class Write:
    """One thing to write: ``what`` runs inside a tenant transaction, ``after`` once that is committed.

    ``what`` may run more than once (after a lost connection), each time in a new transaction. ``loose`` statements come
    behind all others of a transaction: they build on the call's row and nothing builds on them.
    """

    tenant_id: UUID
    call_id: UUID
    what: Statement | Apply
    after: Callable[[], None] | None = None
    loose: bool = False


@dataclass(slots=True)
class Group:
    """One round trip: a statement with a row for each write, or what runs by itself."""

    what: str | Apply
    rows: list[tuple[Any, ...]] = field(default_factory=list)

    async def run(self, connection: Connection) -> None:
        """Run it inside a transaction."""
        if isinstance(self.what, str):
            await run_all(connection, self.what, self.rows)
        else:
            await self.what(connection)


def grouped(batch: Sequence[Write]) -> list[Group]:
    """The round trips of a batch, in their order: every write of a call comes behind its earlier ones."""
    groups: list[Group] = []
    loose: dict[str, Group] = {}
    places: dict[str, list[int]] = {}
    reached: dict[int, int] = {}  # by number: the hash of a UUID is a function of Python's
    for write in batch:
        what = write.what
        if not isinstance(what, Statement):
            reached[write.call_id.int] = len(groups)
            groups.append(Group(what))
        elif write.loose:
            if what.sql not in loose:
                loose[what.sql] = Group(what.sql)
            loose[what.sql].rows.append(what.args)
        else:
            call = write.call_id.int
            least = reached.get(call, 0)
            known = places.setdefault(what.sql, [])
            if known and known[0] >= least:
                place = known[0]
            else:
                place = next((place for place in known if place >= least), len(groups))
            if place == len(groups):
                groups.append(Group(what.sql))
                known.append(place)
            groups[place].rows.append(what.args)
            reached[call] = place
    return [*groups, *loose.values()]
