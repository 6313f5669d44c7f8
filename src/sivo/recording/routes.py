"""Recordings over the API: their state for those who listen, their audio decrypted on the way out."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import asyncpg
from fastapi import APIRouter, Depends
from fastapi.responses import StreamingResponse

from sivo.api.context import Context
from sivo.api.page import Cursor, Limit, decode_id, page
from sivo.base.errors import SivoError
from sivo.identity.access import READERS, Principal, Role, require
from sivo.recording.binding import OBJECT_PURPOSE, object_aad
from sivo.storage.store import Objects
from sivo.vault import stream

_MEDIA_TYPES = {"wav": "audio/wav", "mp3": "audio/mpeg", "ogg": "audio/ogg"}
_FIELDS = """id, call_id, state, wanted, rule, cause, format, kms, retention_days, created_at, expires_at, stored_at,
             size_bytes, duration_ms, channels"""


def public(row: asyncpg.Record) -> dict[str, Any]:
    """A recording row as the API shows it."""
    return {
        name: (str(value) if isinstance(value, UUID) else value.isoformat() if hasattr(value, "isoformat") else value)
        for name, value in row.items()
    }


def make_router(context: Context) -> APIRouter:
    """Routes below ``/api/recordings``."""
    router = APIRouter(tags=["recordings"])
    store = Objects.local(context.settings.object_dir)

    @router.get("/api/recordings")
    async def list_recordings(
        who: Annotated[Principal, Depends(require(*READERS))], limit: Limit = 50, cursor: Cursor = None
    ) -> dict[str, Any]:
        """Recordings of the tenant, newest first."""
        after = decode_id(cursor)
        async with context.database.tenant(who.tenant_id) as connection:
            rows = await connection.fetch(
                f"""select {_FIELDS} from recording
                     where $1::uuid is null or id < $1 order by id desc limit $2""",  # noqa: S608 - a constant
                after,
                limit + 1,
            )
        return page([public(row) for row in rows], limit, lambda row: [row["id"]])

    @router.get("/api/recordings/{recording_id}")
    async def get_recording(
        recording_id: UUID, who: Annotated[Principal, Depends(require(*READERS))]
    ) -> dict[str, Any]:
        """One recording: its state, the rule that decided, its sealed expiry."""
        async with context.database.tenant(who.tenant_id) as connection:
            row = await connection.fetchrow(f"select {_FIELDS} from recording where id = $1", recording_id)  # noqa: S608
        if row is None:
            raise _not_found(recording_id)
        return public(row)

    @router.get("/api/recordings/{recording_id}/audio", response_class=StreamingResponse)
    async def listen(
        recording_id: UUID, who: Annotated[Principal, Depends(require(Role.SUPERVISOR, Role.ADMIN))]
    ) -> StreamingResponse:
        """The audio itself, decrypted as it is sent."""
        async with context.database.tenant(who.tenant_id) as connection:
            row = await connection.fetchrow(
                """select id, format, object_key, wrapped_key, size_bytes from recording
                    where id = $1 and state = 'stored'""",
                recording_id,
            )
        if row is None:
            raise _not_found(recording_id)
        key = await context.vault.open(who.tenant_id, OBJECT_PURPOSE, row["wrapped_key"])
        plain = stream.open_stream(key, object_aad(who.tenant_id, recording_id), store.read(row["object_key"]))
        # A plain iterator: the framework reads it in a thread, so decryption does not hold the loop.
        return StreamingResponse(
            plain,
            media_type=_MEDIA_TYPES[row["format"]],
            headers={
                "Content-Length": str(row["size_bytes"]),
                "Cache-Control": "no-store",
                "Content-Disposition": f'inline; filename="{recording_id}.{row["format"]}"',
            },
        )

    return router


def _not_found(recording_id: UUID) -> SivoError:
    return SivoError(
        "NOT_FOUND", f"there is no such recording: {recording_id}", where="recording_id", remedy="GET /api/recordings"
    )
