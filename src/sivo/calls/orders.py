"""Orders to running calls: rows that the API writes and the process that carries the call answers.

The row is committed together with its NOTIFY; every call role hears it, the one that has the call does it. What nobody
has claimed after :data:`WAIT_SECONDS` is refused by who asked, so that it cannot be done later.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sivo.audit.log import AuditEntry, record
from sivo.base import logs
from sivo.base.clock import Clock
from sivo.base.errors import SivoError, register
from sivo.base.ids import uuid7
from sivo.db.scopes import Database

CHANNEL = "sivo_call_command"
WAIT_SECONDS = 5.0
_POLL_SECONDS = 0.05
CALL_NOT_RUNNING = register("CALL_NOT_RUNNING", 409)
log = logs.get("calls")


@dataclass(frozen=True, slots=True)
class Order:
    """One order; ``author`` is who gave it."""

    id: UUID
    tenant_id: UUID
    call_id: UUID
    kind: str
    body: dict[str, Any]
    author: str


#: Does an order and gives its result; None when the call is not carried here. Raises SivoError to refuse it.
Handler = Callable[[Order], Awaitable[dict[str, Any] | None]]


async def give(
    database: Database,
    clock: Clock,
    tenant_id: UUID,
    call_id: UUID,
    kind: str,
    body: dict[str, Any],
    author: str,
    entry: AuditEntry | None = None,
) -> dict[str, Any]:
    """Order something of a running call and wait for the outcome; ``entry`` is recorded with the order.

    Raises SivoError NOT_FOUND for an unknown call, CALL_NOT_RUNNING when it is over or nobody carries it, or what the
    call role refused it with.
    """
    order_id = uuid7()
    async with database.tenant(tenant_id) as conn:
        state = await conn.fetchval("select state from call where id = $1", call_id)
        if state is None:
            raise SivoError("NOT_FOUND", f"there is no call {call_id}", where="call")
        if state == "ended":
            raise _not_running(call_id)
        await conn.execute(
            """insert into call_command (id, tenant_id, call_id, kind, body, author, created_at)
               values ($1, $2, $3, $4, $5, $6, $7)""",
            *(order_id, tenant_id, call_id, kind, body, author, clock.now()),
        )
        if entry is not None:
            await record(conn, entry, clock.now())
        payload = json.dumps({"tenant": str(tenant_id), "id": str(order_id)})
        await conn.execute("select pg_notify($1, $2)", CHANNEL, payload)
    deadline = clock.monotonic() + WAIT_SECONDS
    while clock.monotonic() < deadline:
        await asyncio.sleep(_POLL_SECONDS)
        async with database.tenant(tenant_id) as conn:
            row = await conn.fetchrow("select state, code, message, result from call_command where id = $1", order_id)
        if row is not None and row["state"] != "pending":
            return _outcome(row)
    async with database.tenant(tenant_id) as conn:
        taken = await _settle(conn, order_id, clock.now(), "refused", code=CALL_NOT_RUNNING)
        row = await conn.fetchrow("select state, code, message, result from call_command where id = $1", order_id)
    if taken or row is None:
        raise _not_running(call_id)
    return _outcome(row)


def _outcome(row: Any) -> dict[str, Any]:
    if row["state"] == "refused":
        raise SivoError(row["code"], row["message"] or "refused", where="call")
    return dict(row["result"])


def _not_running(call_id: UUID) -> SivoError:
    return SivoError(CALL_NOT_RUNNING, f"call {call_id} is over, or the node that carried it is gone", where="call")


async def _settle(
    conn: Any, order_id: UUID, at: datetime, state: str, *, code: str = "", message: str = "", result: Any = None
) -> bool:
    status: str = await conn.execute(
        """update call_command set state = $2, done_at = $3, code = $4, message = $5, result = $6
            where id = $1 and state = 'pending'""",
        *(order_id, state, at, code, message, result or {}),
    )
    return status.endswith(" 1")


class OrderDesk:
    """The side of the call role: hears orders and has them done."""

    def __init__(self, database: Database, clock: Clock, handler: Handler) -> None:
        self._database = database
        self._clock = clock
        self._handler = handler
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen from now on."""
        await self._database.listen(CHANNEL, self._heard)

    def _heard(self, payload: str) -> None:
        if not payload:
            return  # the line to the database was away; who asked meanwhile has been told that nobody answered
        try:
            told = json.loads(payload)
            tenant_id, order_id = UUID(told["tenant"]), UUID(told["id"])
        except (ValueError, KeyError, TypeError):
            log.error("an order that cannot be read")
            return
        task = asyncio.get_running_loop().create_task(self._do(tenant_id, order_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _do(self, tenant_id: UUID, order_id: UUID) -> None:
        try:
            async with self._database.tenant(tenant_id) as conn:
                row = await conn.fetchrow("select * from call_command where id = $1 and state = 'pending'", order_id)
            if row is None:
                return
            order = Order(order_id, tenant_id, row["call_id"], row["kind"], row["body"], row["author"])
            fields: dict[str, Any] = {"state": "done"}
            try:
                result = await self._handler(order)
                if result is None:
                    return
                fields["result"] = result
            except SivoError as error:
                fields = {"state": "refused", "code": error.code, "message": error.message}
            async with self._database.tenant(tenant_id) as conn:
                await _settle(conn, order_id, self._clock.now(), **fields)
        except SivoError as error:
            log.warning("an order was not done", tenant=str(tenant_id), order=str(order_id), error=error.code)
