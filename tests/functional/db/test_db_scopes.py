"""The three scopes against a real server."""

from __future__ import annotations

from sivo.db.scopes import Database


async def test_scope_gives_a_working_connection(database: Database) -> None:
    async with database.platform("test: say hello") as connection:
        assert await connection.fetchval("select current_user") == "sivo_platform"
        assert await connection.fetchval("select $1::jsonb", {"a": [1, None]}) == {"a": [1, None]}
