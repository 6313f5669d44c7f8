"""Bringing a backup back: verified as a whole before anything of the node is touched."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path, PurePosixPath
from typing import Any

import asyncpg

from sivo.base import logs
from sivo.base.errors import SivoError, register
from sivo.base.settings import Settings
from sivo.db import binaries, cluster
from sivo.db.bootstrap import make_roles
from sivo.db.embedded import EmbeddedPostgres
from sivo.db.migrate import current_revision, migrate
from sivo.node.archive import CHECKSUMS, DUMP, FORMAT, MANIFEST, Report, environment, files, folders
from sivo.vault.keyring import Keyring

RESTORE_REFUSED = register("RESTORE_REFUSED", 409)

_log = logs.get("db")


async def restore(settings: Settings, path: Path, *, replace: bool = False) -> Report:
    """Bring a backup back into ``settings.home``; the platform must not be running.

    A database that already has a schema is refused unless ``replace``. Raises :class:`SivoError` RESTORE_REFUSED (not a
    whole backup, another key file, database not empty) or POSTGRES_HELD (the platform is running).
    """
    home = settings.home.absolute()
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    size = await asyncio.to_thread(lambda: path.stat().st_size if path.exists() else 0)
    staging = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix=".restore-", dir=home))
    try:
        manifest, count = await asyncio.to_thread(_unpack, path, staging)
        _check_key(settings, manifest)
        embedded = None if settings.dsn else EmbeddedPostgres(settings)
        owner_dsn = settings.dsn or await embedded.start()  # type: ignore[union-attr]
        try:
            programs = embedded.programs if embedded is not None else binaries.find()
            await _make_room(owner_dsn, replace)
            await make_roles(owner_dsn, settings)
            await asyncio.to_thread(_load, owner_dsn, programs, staging / DUMP)
            await migrate(owner_dsn)
        finally:
            if embedded is not None:
                await embedded.stop()
        await asyncio.to_thread(_move_in, settings, staging)
    finally:
        await asyncio.to_thread(shutil.rmtree, staging, ignore_errors=True)
    _log.info("restored", path=str(path), files=count)
    return Report(path, manifest["schema"], manifest["kek_id"], count, size)


def _refused(message: str, where: object, remedy: str) -> SivoError:
    return SivoError(RESTORE_REFUSED, message, where=str(where), remedy=remedy)


def _unpack(path: Path, staging: Path) -> tuple[dict[str, Any], int]:
    """Extract and verify every member; nothing outside ``staging`` is touched."""
    another = "take a complete backup file made by sivo backup"
    digests: dict[str, str] = {}
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                digests[member.name] = _extract(tar, member, staging)
    except (tarfile.TarError, OSError, ValueError) as error:
        raise _refused(f"the backup cannot be read: {error}", path, another) from error
    try:
        manifest: dict[str, Any] = json.loads((staging / MANIFEST).read_bytes())
        expected: dict[str, str] = json.loads((staging / CHECKSUMS).read_bytes())
    except (OSError, ValueError) as error:
        raise _refused("the backup is incomplete", path, another) from error
    digests.pop(CHECKSUMS, None)
    if digests != expected or DUMP not in digests:
        wrong = sorted(set(digests.items()) ^ set(expected.items()))
        raise _refused(f"the backup is damaged, first at {wrong[0][0] if wrong else DUMP}", path, another)
    if manifest.get("format") != FORMAT:
        raise _refused(f"backup format {manifest.get('format')} is not known", path, "use the release that wrote it")
    return manifest, len(expected)


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, staging: Path) -> str:
    parts = PurePosixPath(member.name).parts
    source = tar.extractfile(member) if member.isfile() else None
    if source is None or not parts or ".." in parts or member.name.startswith("/"):
        raise ValueError(f"unexpected member {member.name!r}")
    target = staging.joinpath(*parts)
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    digest = hashlib.sha256()
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        while piece := source.read(1 << 20):
            digest.update(piece)
            out.write(piece)
    return digest.hexdigest()


def _check_key(settings: Settings, manifest: dict[str, Any]) -> None:
    wanted = set(manifest.get("kek_ids") or [str(manifest.get("kek_id"))])
    held: set[str] = set()
    if settings.kek != "file" or settings.kek_file.exists():
        held = set(Keyring.from_settings(settings, create=False).ids)
    if not wanted <= held:
        raise _refused(
            f"the backup was made under key {', '.join(sorted(wanted))}, and the key here is"
            f" {', '.join(sorted(held)) or 'none'}",
            settings.kek_file if settings.kek == "file" else "SIVO_KEK",
            f"name the key of the old installation in SIVO_KEK, or put its key file at {settings.kek_file} (mode 0600)",
        )


async def _make_room(owner_dsn: str, replace: bool) -> None:
    if await current_revision(owner_dsn) is None:
        return
    if not replace:
        raise _refused("the database is not empty", "database", "use a new SIVO_HOME, or --replace to throw it away")
    connection = await asyncpg.connect(owner_dsn, timeout=10)
    try:
        await connection.execute("drop schema public cascade; create schema public")
    finally:
        await connection.close()


def _load(owner_dsn: str, programs: binaries.Binaries, dump: Path) -> None:
    command = [programs.program("psql"), "--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1"]
    done = subprocess.run(
        [*command, f"--file={dump}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=environment(owner_dsn),
        check=False,
    )
    if done.returncode != 0:
        said = cluster.last_complaint(done.stderr.decode(errors="replace").replace("ERROR:", "error:"))
        raise _refused(f"the database refused the backup: {said}", dump.name, "nothing was restored; see the message")


def _move_in(settings: Settings, staging: Path) -> None:
    """Put files where they belong; what is there already and not in the backup stays."""
    for name, folder in folders(settings).items():
        for path in files(staging / name):
            target = folder / path.relative_to(staging / name)
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.replace(target)
