"""What a backup file and a restore have in common: names of members, folders that go along, how programs log in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from sivo.base.settings import Settings

FORMAT = 1
MANIFEST, CHECKSUMS, DUMP = "manifest.json", "checksums.json", "database.sql"


@dataclass(frozen=True, slots=True)
class Report:
    """What a backup holds or a restore brought back."""

    path: Path
    schema: str
    kek_id: str
    files: int
    size_bytes: int


def folders(settings: Settings) -> dict[str, Path]:
    """Folders of the node that belong to a backup, by their name in it."""
    return {
        "objects": settings.object_dir.absolute(),
        "ledger": settings.home.absolute() / "ledger",
        "journal": settings.journal_dir.absolute(),
    }


def files(folder: Path) -> Iterator[Path]:
    """All plain files below ``folder``."""
    if folder.is_dir():
        yield from sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def environment(dsn: str) -> dict[str, str]:
    """The DSN as libpq variables, so that no password stands in a list of processes."""
    parts, query = urlsplit(dsn), {name: values[-1] for name, values in parse_qs(urlsplit(dsn).query).items()}
    found = {
        "PGHOST": query.get("host") or parts.hostname or "",
        "PGPORT": query.get("port") or str(parts.port or 5432),
        "PGUSER": unquote(parts.username or ""),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": unquote(parts.path.lstrip("/")),
        "PGSSLMODE": query.get("sslmode", ""),
    }
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return kept | {name: value for name, value in found.items() if value}
