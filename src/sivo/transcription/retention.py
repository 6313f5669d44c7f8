"""Transcript text is deleted when its sealed expiry has passed."""

from __future__ import annotations

from datetime import datetime

from sivo.db.scopes import Database


async def expire_transcripts(database: Database, at: datetime) -> int:
    """Delete expired segments and the texts of expired turns; returns how many rows changed."""
    async with database.platform("transcript retention") as connection:
        gone = await connection.fetch("delete from segment where expires_at <= $1 returning id", at)
        blanked = await connection.fetch(
            """update turn set user_text = null, reply_text = null
                where expires_at <= $1 and (user_text is not null or reply_text is not null) returning seq""",
            at,
        )
    return len(gone) + len(blanked)
