"""A running call as server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends
from fastapi.responses import StreamingResponse

from sivo.api.context import Context
from sivo.audit.log import record
from sivo.base.errors import SivoError
from sivo.calls import own
from sivo.calls.orders import CALL_NOT_RUNNING
from sivo.identity.access import Permission, Principal, require
from sivo.realtime.feed import Message
from sivo.realtime.line import look_on, socket_path

#: A comment line after so much silence, so that proxies keep the connection.
KEEP_ALIVE_S = 15.0
#: Nobody looks on for longer than an access token lives; browsers reconnect by themselves, and are asked again.
LASTS_S = 900.0
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def make_router(context: Context) -> APIRouter:
    """``GET /api/calls/{call_id}/live``."""
    router = APIRouter(tags=["calls"])

    @router.get(
        "/api/calls/{call_id}/live",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/event-stream": {}}, "description": "Events until the call ends"}},
    )
    async def live(
        call_id: UUID, who: Annotated[Principal, Depends(require(Permission.TRANSCRIPTS_READ))]
    ) -> StreamingResponse:
        """Look on at a running call: `call.state`, `transcript.interim` (replaces the speaker's last one) and
        `transcript.final`, until it ends; an agent sees their own calls. Reading is recorded. A reader that is too slow
        gets `stream.dropped` and has to come again."""
        async with context.database.tenant(who.tenant_id) as connection:
            if not await own.sees(connection, who, call_id):
                raise SivoError("NOT_FOUND", f"there is no call {call_id}", where="call")
            await record(connection, who.author.did("access", "transcript.read", "call", call_id))
        stack = AsyncExitStack()
        messages = await stack.enter_async_context(
            look_on(socket_path(context.settings.run_dir), who.tenant_id, str(call_id))
        )
        if messages is None:
            await stack.aclose()
            raise SivoError(CALL_NOT_RUNNING, "the call is over, or another node carries it", where="call")
        return StreamingResponse(_events(messages, stack), media_type="text/event-stream", headers=_HEADERS)

    return router


async def _events(messages: AsyncIterator[Message], stack: AsyncExitStack) -> AsyncIterator[bytes]:
    """The stream's bytes; closing it closes the line to ``call``."""
    loop = asyncio.get_running_loop()
    until = loop.time() + LASTS_S
    coming: asyncio.Future[Message | None] | None = None
    async with stack:
        try:
            while loop.time() < until:
                coming = coming or asyncio.ensure_future(anext(messages, None))
                done, _ = await asyncio.wait({coming}, timeout=KEEP_ALIVE_S)
                if not done:
                    yield b": still here\n\n"
                    continue
                message, coming = coming.result(), None
                if message is None:
                    return
                yield _event(message)
        finally:
            if coming is not None:
                coming.cancel()


def _event(message: Message) -> bytes:
    name = message["event"]
    data = {key: value for key, value in message.items() if key != "event"}
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()
