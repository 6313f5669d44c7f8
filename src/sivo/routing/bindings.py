"""SQL of the table ``registration``: bindings of phones, so that they survive the node."""

from __future__ import annotations

from datetime import datetime

from sivo.db.scopes import Connection, Database
from sivo.routing.registrar import Binding
from sivo.sip.peer import Peer
from sivo.sip.uri import Uri


async def save(conn: Connection, binding: Binding) -> None:
    """Insert or refresh one binding."""
    await conn.execute(
        """insert into registration (tenant_id, extension_id, contact, extension, source_host, source_port, sip_call_id,
                                     cseq, user_agent, registered_at, expires_at, account)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
           on conflict (extension_id, contact) do update set
             extension = excluded.extension, source_host = excluded.source_host, source_port = excluded.source_port,
             sip_call_id = excluded.sip_call_id, cseq = excluded.cseq, user_agent = excluded.user_agent,
             registered_at = excluded.registered_at, expires_at = excluded.expires_at,
             account = excluded.account""",
        binding.tenant_id,
        binding.extension_id,
        binding.contact,
        binding.extension,
        binding.source.host,
        binding.source.port,
        binding.sip_call_id,
        binding.cseq,
        binding.user_agent,
        binding.registered_at,
        binding.expires_at,
        binding.account,
    )


async def remove(conn: Connection, binding: Binding) -> None:
    """Delete one binding."""
    await conn.execute(
        "delete from registration where extension_id = $1 and contact = $2", binding.extension_id, binding.contact
    )


async def load(database: Database, now: datetime) -> list[Binding]:
    """Every binding that is still valid."""
    async with database.platform("registrar start") as conn:
        rows = await conn.fetch("select * from registration where expires_at > $1", now)
    return [
        Binding(
            tenant_id=row["tenant_id"],
            extension_id=row["extension_id"],
            extension=row["extension"],
            contact=row["contact"],
            # The connection died with the process: a stream phone is tried where it says it can be reached.
            source=Peer(row["source_host"], row["source_port"], _transport(row["contact"])),
            sip_call_id=row["sip_call_id"],
            cseq=row["cseq"],
            registered_at=row["registered_at"],
            expires_at=row["expires_at"],
            user_agent=row["user_agent"],
            account=row["account"],
        )
        for row in rows
    ]


def _transport(contact: str) -> str:
    return Uri.parse(contact).peer().transport
