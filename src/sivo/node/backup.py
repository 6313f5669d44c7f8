"""One file with everything that a node would have to be built from again, except its key-encryption key.

A backup is a tar: ``manifest.json``, ``journal/…``, ``database.sql``, ``objects/…``, ``ledger/…`` and, last,
``checksums.json``. Secrets, recordings and journals in it are sealed; the manifest names the key that opens them
(``kek_id``), the key file itself has to be kept elsewhere.

The database is read as ``sivo_platform`` under row-level security, as any platform work: no role bypasses it.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import subprocess
import tarfile
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sivo.base import logs
from sivo.base.errors import SivoError, register
from sivo.base.settings import Settings
from sivo.db import binaries, cluster
from sivo.db.embedded import EmbeddedPostgres
from sivo.db.migrate import current_revision
from sivo.node.archive import CHECKSUMS, DUMP, FORMAT, MANIFEST, Report, environment, files, folders
from sivo.node.restore import restore
from sivo.vault.keyring import Keyring

__all__ = ["Report", "backup", "restore"]

BACKUP_FAILED = register("BACKUP_FAILED", 500)

#: Written by newer pg_dump, not understood by older servers, and without effect on a restore.
_NEWER_ONLY = b"SET transaction_timeout = 0;"

_log = logs.get("db")


async def backup(settings: Settings, path: Path) -> Report:
    """Write a backup to ``path`` (mode 0600); the platform may be running.

    Raises :class:`SivoError` BACKUP_FAILED, or what :meth:`EmbeddedPostgres.start` raises.
    """
    keyring = await asyncio.to_thread(lambda: Keyring.from_settings(settings, create=False))
    async with _server(settings) as (owner_dsn, programs):
        revision = await current_revision(owner_dsn)
        if revision is None:
            raise SivoError(BACKUP_FAILED, "there is nothing to back up: the database is empty", where="database")
        manifest = {"format": FORMAT, "created_at": datetime.now(UTC).isoformat(), "schema": revision}
        manifest["kek_id"] = keyring.current.kek_id
        # In the middle of a rotation both are needed to read it.
        manifest["kek_ids"] = list(keyring.ids)
        return await asyncio.to_thread(_write, settings, path, manifest, owner_dsn, programs)


class _Writer:
    """A tar in the making, with the checksum of each member."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self.checksums: dict[str, str] = {}

    def add_bytes(self, name: str, data: bytes) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(data), 0o600
        self._tar.addfile(info, io.BytesIO(data))
        self.checksums[name] = hashlib.sha256(data).hexdigest()

    def add_file(self, name: str, path: Path) -> None:
        """Add a file as long as it is now; one that grows meanwhile is cut there, one that is gone is left out."""
        try:
            file = open(path, "rb")  # noqa: SIM115 - closed by the with below
        except FileNotFoundError:
            return
        with file:
            info = tarfile.TarInfo(name)
            info.size, info.mode = os.fstat(file.fileno()).st_size, 0o600
            reader = _Hashing(file)
            self._tar.addfile(info, reader)
        self.checksums[name] = reader.digest.hexdigest()

    def add_folder(self, prefix: str, folder: Path) -> None:
        for path in files(folder):
            name = f"{prefix}/{path.relative_to(folder).as_posix()}"
            if name not in self.checksums:
                self.add_file(name, path)


class _Hashing:
    def __init__(self, file: Any) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data: bytes = self._file.read(size)
        self.digest.update(data)
        return data


def _write(
    settings: Settings, path: Path, manifest: dict[str, Any], owner_dsn: str, programs: binaries.Binaries
) -> Report:
    unfinished = path.with_name(f".{path.name}.unfinished")
    kept = folders(settings)
    with tempfile.TemporaryDirectory(prefix=".backup-", dir=settings.home) as scratch:
        dump = Path(scratch) / DUMP
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as raw:
            with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
                writer = _Writer(tar)
                writer.add_bytes(MANIFEST, json.dumps(manifest).encode())
                # Before and after the dump: what a row of the dump refers to is there, whichever way it was moving.
                writer.add_folder("journal", kept["journal"])
                _dump(owner_dsn, programs, dump)
                writer.add_file(DUMP, dump)
                for name, folder in kept.items():
                    writer.add_folder(name, folder)
                writer.add_bytes(CHECKSUMS, json.dumps(writer.checksums).encode())
            raw.flush()
            os.fsync(raw.fileno())
    unfinished.replace(path)
    size = path.stat().st_size
    _log.info("backup_written", path=str(path), files=len(writer.checksums), size_bytes=size)
    return Report(path, manifest["schema"], manifest["kek_id"], len(writer.checksums), size)


def _dump(owner_dsn: str, programs: binaries.Binaries, target: Path) -> None:
    command = [programs.program("pg_dump"), "--no-owner", "--enable-row-security", "--role=sivo_platform"]
    variables = environment(owner_dsn) | {"PGOPTIONS": "-c app.reason=backup"}
    complaint = target.with_suffix(".err")
    with open(target, "wb") as out, open(complaint, "wb") as err:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err, env=variables)
        assert process.stdout is not None
        for line in process.stdout:
            if line.rstrip() != _NEWER_ONLY:
                out.write(line)
    if process.wait() != 0:
        said = cluster.last_complaint(complaint.read_text(encoding="utf-8", errors="replace"))
        raise SivoError(BACKUP_FAILED, f"pg_dump ended with status {process.returncode}: {said}", where="database")


@asynccontextmanager
async def _server(settings: Settings) -> AsyncIterator[tuple[str, binaries.Binaries]]:
    """Owner DSN and programs: the operator's server, our running one, or ours started for the purpose."""
    if settings.dsn:
        yield settings.dsn, await asyncio.to_thread(binaries.find)
        return
    embedded = EmbeddedPostgres(settings)
    running = embedded.attach()
    if running is not None:
        yield running, embedded.programs
        return
    owner_dsn = await embedded.start()
    try:
        yield owner_dsn, embedded.programs
    finally:
        await embedded.stop()
