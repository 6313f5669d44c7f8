"""Recordings over the API: their state for those who listen, their audio decrypted on the way out."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from typing import Annotated, Any
from uuid import UUID

import asyncpg
from fastapi import APIRouter, Depends
from fastapi.responses import StreamingResponse

from sivo.api.context import Context
from sivo.api.page import Cursor, Limit, decode_id, page
from sivo.audit.log import record
from sivo.base import logs
from sivo.base.errors import SivoError, register
from sivo.calls import own
from sivo.identity.access import Permission, Principal, require
from sivo.recording.binding import OBJECT_PURPOSE, object_aad
from sivo.storage.store import Objects
from sivo.vault import stream

log = logs.get("recording")

RECORDING_LOST = register("RECORDING_LOST", 410)

_MEDIA_TYPES = {"wav": "audio/wav", "mp3": "audio/mpeg", "ogg": "audio/ogg"}
_FIELDS = """id, call_id, state, wanted, rule, cause, format, kms, retention_days, created_at, expires_at, stored_at,
             size_bytes, duration_ms, channels"""


Listener = Annotated[Principal, Depends(require(Permission.RECORDINGS_LISTEN))]
#: The recording's call is within the caller's reach; takes $2 to $4.
_WITHIN = (
    "($2::uuid[] is null or exists (select 1 from call where call.id = recording.call_id"  # noqa: S608 - constants
    f" and {own.WITHIN.format('$2', '$3', '$4')}))"
)


def public(row: asyncpg.Record) -> dict[str, Any]:
    """A recording row as the API shows it."""
    return {
        name: (str(value) if isinstance(value, UUID) else value.isoformat() if hasattr(value, "isoformat") else value)
        for name, value in row.items()
    }


def make_router(context: Context) -> APIRouter:
    """Routes below ``/api/recordings``."""
    router = APIRouter(tags=["recordings"])
    _add_states(router, context)
    _add_audio(router, context, Objects.local(context.settings.object_dir))
    return router


def _add_states(router: APIRouter, context: Context) -> None:
    @router.get("/api/recordings")
    async def list_recordings(who: Listener, limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
        """Recordings of the tenant, newest first; an agent sees those of their own calls."""
        after = decode_id(cursor)
        async with context.database.tenant(who.tenant_id) as connection:
            rows = await connection.fetch(
                f"""select {_FIELDS} from recording
                     where ($1::uuid is null or recording.id < $1) and {_WITHIN} order by id desc limit $5""",  # noqa: S608
                after,
                *await own.within(connection, who),
                limit + 1,
            )
        return page([public(row) for row in rows], limit, lambda row: [row["id"]])

    @router.get("/api/recordings/{recording_id}")
    async def get_recording(recording_id: UUID, who: Listener) -> dict[str, Any]:
        """One recording: its state, the rule that decided, its sealed expiry."""
        async with context.database.tenant(who.tenant_id) as connection:
            row = await connection.fetchrow(
                f"select {_FIELDS} from recording where recording.id = $1 and {_WITHIN}",  # noqa: S608 - constants
                recording_id,
                *await own.within(connection, who),
            )
        if row is None:
            raise _not_found(recording_id)
        return public(row)


def _add_audio(router: APIRouter, context: Context, store: Objects) -> None:
    async def audio(who: Principal, recording_id: UUID, event: str, disposition: str) -> StreamingResponse:
        async with context.database.tenant(who.tenant_id) as connection:
            row = await connection.fetchrow(
                f"""select id, format, object_key, wrapped_key, size_bytes from recording
                    where recording.id = $1 and state = 'stored' and {_WITHIN}""",  # noqa: S608 - constants
                recording_id,
                *await own.within(connection, who),
            )
            if row is not None:
                await record(connection, who.author.did("access", event, "recording", recording_id))
        if row is None:
            raise _not_found(recording_id)
        key = await context.vault.open(who.tenant_id, OBJECT_PURPOSE, row["wrapped_key"])
        plain = stream.open_stream(key, object_aad(who.tenant_id, recording_id), store.read(row["object_key"]))
        # A plain iterator: the framework reads it in a thread, so decryption does not hold the loop.
        return StreamingResponse(
            await _begun(plain, recording_id),
            media_type=_MEDIA_TYPES[row["format"]],
            headers={
                "Content-Length": str(row["size_bytes"]),
                "Cache-Control": "no-store",
                "Content-Disposition": f'{disposition}; filename="{recording_id}.{row["format"]}"',
            },
        )

    @router.get("/api/recordings/{recording_id}/audio", response_class=StreamingResponse)
    async def listen(recording_id: UUID, who: Listener) -> StreamingResponse:
        """The audio itself, decrypted as it is sent. Listening is recorded in the audit log."""
        return await audio(who, recording_id, "recording.listened", "inline")

    @router.get("/api/recordings/{recording_id}/download", response_class=StreamingResponse)
    async def download(
        recording_id: UUID, who: Annotated[Principal, Depends(require(Permission.RECORDINGS_DOWNLOAD))]
    ) -> StreamingResponse:
        """The same as a file to keep. Downloads are recorded in the audit log."""
        return await audio(who, recording_id, "recording.downloaded", "attachment")


async def _begun(plain: Iterator[bytes], recording_id: UUID) -> Iterator[bytes]:
    """``plain`` with its first piece read: an object that is gone or damaged is told while headers can still say so."""
    try:
        first = await asyncio.to_thread(next, plain, b"")
    except FileNotFoundError:
        log.error("a stored recording is missing from the object store", recording=str(recording_id))
        raise SivoError(
            RECORDING_LOST,
            f"the audio of recording {recording_id} is no longer in the object store",
            where="recording_id",
            remedy="ask the operator to look at the object store and its backups",
        ) from None
    return itertools.chain((first,), plain)


def _not_found(recording_id: UUID) -> SivoError:
    return SivoError(
        "NOT_FOUND", f"there is no such recording: {recording_id}", where="recording_id", remedy="GET /api/recordings"
    )
