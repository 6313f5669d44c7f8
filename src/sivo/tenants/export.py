"""Everything of a tenant as one tar: configuration, calls, transcripts, recordings. Made while it is sent.

Members: ``configuration.yaml`` (as ``GET /api/config/export``), ``calls-000001.jsonl`` and so on (one call a line, with
its legs and decisions), ``transcripts-…`` (a segment a line), ``turns-…`` (an AI conversation a line),
``recordings-…``, with audio also ``audio/<recording>.<format>``; ``manifest.json`` comes last, with size and SHA-256 of
each. An archive without it was cut short.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID

from sivo.api.context import Context
from sivo.base.errors import SivoError
from sivo.config.export import export
from sivo.config.plans import Planner
from sivo.config.registry import KEYS
from sivo.recording.binding import OBJECT_PURPOSE, object_aad
from sivo.storage.store import Objects
from sivo.tenants.tar import Tar
from sivo.vault import stream

#: Lines in one member.
PAGE = 500
FORMAT = 1
_CALLS = """select c.id, to_jsonb(c) - array['tenant_id', 'journal_path', 'media_index', 'snapshot_hash', 'finished']
    || jsonb_build_object(
        'legs', (select coalesce(jsonb_agg(to_jsonb(l) - 'tenant_id' order by l.id), '[]') from leg l
                  where l.call_id = c.id),
        'decisions', (select coalesce(jsonb_agg(to_jsonb(d) - 'tenant_id' order by d.id), '[]') from call_decision d
                       where d.call_id = c.id)) as line
    from call c where c.id > $1 order by c.id limit $2"""
_SEGMENTS = """select s.id, to_jsonb(s) - 'tenant_id' as line from segment s where s.id > $1 order by s.id limit $2"""
_TURNS = """select t.call_id as id, jsonb_agg(to_jsonb(t) - array['tenant_id', 'session'] order by t.seq) as line
    from turn t where t.call_id > $1 group by t.call_id order by t.call_id limit $2"""
_RECORDINGS = """select r.id, to_jsonb(r) - array['tenant_id', 'node', 'journal_path', 'object_key', 'wrapped_key',
        'claimed_until', 'started', 'due_at'] as line from recording r where r.id > $1 order by r.id limit $2"""
_AUDIO = """select id, format, object_key, wrapped_key, size_bytes from recording
    where state = 'stored' and id > $1 order by id limit 1"""
_FIRST = UUID(int=0)


class TenantExport:
    """One export of one tenant."""

    def __init__(self, context: Context, tenant_id: UUID, store: Objects, audio: bool) -> None:
        self._context = context
        self._tenant = tenant_id
        self._store = store
        self._audio = audio
        self._tar = Tar(context.clock.now())

    async def pieces(self) -> AsyncIterator[bytes]:
        """The archive, piece by piece."""
        now = await Planner(self._context.settings, self._context.database, self._context.resources).now(self._tenant)
        stored = [one for name in KEYS for one in now.resolver.levels(name)]
        yield self._tar.member("configuration.yaml", export(stored, now.resources).encode())
        queries = (("calls", _CALLS), ("transcripts", _SEGMENTS), ("turns", _TURNS), ("recordings", _RECORDINGS))
        for name, query in queries:
            async for piece in self._lines(name, query):
                yield piece
        if self._audio:
            async for piece in self._recordings():
                yield piece
        about = {
            "format": FORMAT,
            "tenant": {"id": str(self._tenant), **now.tenant.body(), "version": now.tenant.version},
            "exported_at": self._context.clock.now().isoformat(),
            "audio": self._audio,
        }
        yield self._tar.end(about)

    async def _lines(self, name: str, query: str) -> AsyncIterator[bytes]:
        after = _FIRST
        for number in itertools.count(1):
            async with self._context.database.tenant(self._tenant) as connection:
                rows = await connection.fetch(query, after, PAGE)
            if not rows:
                return
            text = "".join(json.dumps(row["line"], ensure_ascii=False, sort_keys=True) + "\n" for row in rows)
            yield self._tar.member(f"{name}-{number:06}.jsonl", text.encode())
            after = rows[-1]["id"]

    async def _recordings(self) -> AsyncIterator[bytes]:
        after = _FIRST
        while True:
            async with self._context.database.tenant(self._tenant) as connection:
                row = await connection.fetchrow(_AUDIO, after)
            if row is None:
                return
            after = row["id"]
            name = f"audio/{row['id']}.{row['format']}"
            try:
                first, rest = await self._open(row)
            except (SivoError, OSError) as error:
                # One object that is damaged or lost must not keep the others from their owner.
                code = error.code if isinstance(error, SivoError) else type(error).__name__
                yield self._tar.member(f"{name}.error.txt", f"this recording cannot be read: {code}\n".encode())
                continue
            async for piece in self._tar.long_member(name, row["size_bytes"], _in_thread(first, rest)):
                yield piece

    async def _open(self, row: Any) -> tuple[bytes, Iterator[bytes]]:
        key = await self._context.vault.open(self._tenant, OBJECT_PURPOSE, row["wrapped_key"])
        plain = stream.open_stream(key, object_aad(self._tenant, row["id"]), self._store.read(row["object_key"]))
        return await asyncio.to_thread(next, plain, b""), plain


async def _in_thread(first: bytes, rest: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Pieces as they are decrypted, which is done off the event loop."""
    piece = first
    while piece:
        yield piece
        piece = await asyncio.to_thread(next, rest, b"")
