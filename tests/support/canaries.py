"""Planted secrets, and a search for them everywhere a secret must not be: database, logs, files.

Plant a value where a user would enter it, let the platform work (and fail), then call the searches; each returns the
places where a canary was found, so an empty list is the proof and anything else says where to look.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterable
from pathlib import Path

import asyncpg


class Canaries:
    """Values that stand for secrets; each occurs nowhere by chance."""

    def __init__(self) -> None:
        self._planted: dict[str, bytes] = {}

    def plant(self, name: str) -> str:
        """A new value to be entered as the secret ``name``."""
        value = f"canary-{name}-{secrets.token_hex(12)}"
        self._planted[name] = value.encode()
        return value

    def add(self, name: str, value: str | bytes) -> None:
        """Look for a value that the platform made itself (a key, a password)."""
        self._planted[name] = value.encode() if isinstance(value, str) else value

    def _forms(self) -> Iterable[tuple[str, bytes]]:
        for name, value in self._planted.items():
            yield name, value
            yield f"{name} in hex", value.hex().encode()
            for shift in range(3):  # base64 of a text that contains the value, whatever stands before it
                yield f"{name} in base64", base64.b64encode(b"x" * shift + value)[4:-4]

    def in_bytes(self, where: str, data: bytes) -> list[str]:
        """Places in ``data`` (a log, an answer, a trace)."""
        assert self._planted, "nothing was planted, so nothing could be found"
        return sorted({f"{where}: {name}" for name, form in self._forms() if form in data})

    def in_files(self, folder: Path, *, except_for: Iterable[str] = ()) -> list[str]:
        """Places in the files below ``folder``, but for those named (the files that hold a secret by design)."""
        allowed = set(except_for)
        found: list[str] = []
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if path.is_file() and name not in allowed:
                found += self.in_bytes(name, path.read_bytes())
        return found

    async def in_database(self, superuser_dsn: str) -> list[str]:
        """Places in any row of any table, read behind the policies; ``bytea`` is searched as bytes."""
        connection = await asyncpg.connect(superuser_dsn)
        found: list[str] = []
        try:
            tables = await connection.fetch(
                "select quote_ident(relname) as name from pg_class"
                " where relnamespace = 'public'::regnamespace and relkind = 'r'"
            )
            for table in tables:
                for row in await connection.fetch(f"select * from {table['name']}"):
                    for column, value in row.items():
                        data = bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()
                        found += self.in_bytes(f"{table['name']}.{column}", data)
        finally:
            await connection.close()
        return found
