"""Backup of a running platform, restore into a new home."""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from sivo.base.errors import SivoError
from sivo.base.ids import uuid7
from sivo.base.settings import Settings
from sivo.db.bootstrap import open_server
from sivo.db.connect import connect
from sivo.events import outbox
from sivo.node.backup import backup, restore
from sivo.vault.kek import FileKek
from sivo.vault.vault import Vault

TENANT = uuid7()
CANARY = "canary-in-the-backup-91"


@pytest.fixture
def homes() -> Iterator[tuple[Settings, Settings, Path]]:
    """Settings of an old and a new node, and a folder for backups."""
    root = Path(tempfile.mkdtemp(prefix="sivo-b-"))
    yield Settings(home=root / "old"), Settings(home=root / "new"), root
    shutil.rmtree(root, ignore_errors=True)


async def fill(settings: Settings) -> None:
    settings.home.mkdir(mode=0o700)
    server = await open_server(settings)
    database = await connect(settings)
    vault = Vault(database, FileKek.load(settings.kek_file))
    await vault.put_secret(TENANT, "stt.key", CANARY)
    for _ in range(3):
        async with database.tenant(TENANT) as connection:
            await outbox.put(connection, TENANT, "call.ended", {"callId": "x"})
    await database.close()
    for folder, name in ((settings.object_dir, "a/b/recording.sivo"), (settings.journal_dir, "call.journal")):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(os.urandom(300_000))
    report = await backup(settings, settings.home.parent / "running.tar")
    assert report.files >= 4
    await server.stop()


async def state_of(settings: Settings) -> tuple[str | None, int]:
    server = await open_server(settings)
    try:
        database = await connect(settings)
        vault = Vault(database, FileKek.load(settings.kek_file, create=False))
        secret = await vault.get_secret(TENANT, "stt.key")
        async with database.tenant(TENANT) as connection:
            events = await connection.fetchval("select count(*) from outbox")
        async with database.tenant(uuid7()) as connection:
            assert await connection.fetchval("select count(*) from outbox") == 0
        owner = await asyncpg.connect(server.owner_dsn)
        unforced = await owner.fetchval(
            "select count(*) from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'"
            " and relname <> 'alembic_version' and not (relrowsecurity and relforcerowsecurity)"
        )
        await owner.close()
        assert unforced == 0
        await database.close()
        return (secret.value if secret else None), events
    finally:
        await server.stop()


async def test_what_a_running_node_had_is_there_in_a_new_home(homes: tuple[Settings, Settings, Path]) -> None:
    old, new, root = homes
    await fill(old)
    file = root / "running.tar"
    assert file.stat().st_mode & 0o777 == 0o600
    content = file.read_bytes()
    assert CANARY.encode() not in content and old.kek_file.read_bytes().strip() not in content

    with pytest.raises(SivoError, match="key"):
        await restore(new, file)  # the key file is not part of a backup
    new.home.mkdir(mode=0o700, exist_ok=True)
    shutil.copy(old.kek_file, new.kek_file)
    await restore(new, file)

    assert await state_of(new) == (CANARY, 3)
    for folder in ("objects/a/b/recording.sivo", "journal/call.journal"):
        assert (new.home / folder).read_bytes() == (old.home / folder).read_bytes()
    with pytest.raises(SivoError, match="not empty"):
        await restore(new, file)
    await restore(new, file, replace=True)
    assert await state_of(new) == (CANARY, 3)
    assert not list(new.home.glob(".restore-*")) and not list(old.home.glob(".backup-*"))


async def test_stopped_node_is_backed_up_too_and_damage_is_noticed(homes: tuple[Settings, Settings, Path]) -> None:
    old, new, root = homes
    await fill(old)
    file = root / "stopped.tar"
    await backup(old, file)
    whole = file.read_bytes()
    new.home.mkdir(mode=0o700)
    shutil.copy(old.kek_file, new.kek_file)

    with tarfile.open(file) as tar:
        at = tar.getmember("objects/a/b/recording.sivo").offset_data + 1000
    bad = root / "bad.tar"
    for damaged in (whole[: len(whole) // 2], whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :], b"not a tar"):
        bad.write_bytes(damaged)
        with pytest.raises(SivoError) as raised:
            await restore(new, bad)
        assert raised.value.code == "RESTORE_REFUSED"
    assert not (new.home / "objects").exists()


async def test_member_that_points_outside_is_refused(homes: tuple[Settings, Settings, Path]) -> None:
    _, new, root = homes
    evil = root / "evil.tar"
    with tarfile.open(evil, "w") as tar:
        info = tarfile.TarInfo("../outside")
        tar.addfile(info)
    with pytest.raises(SivoError, match="unexpected member"):
        await restore(new, evil)
    assert not (root / "outside").exists()


async def test_restore_into_a_running_platform_is_refused(homes: tuple[Settings, Settings, Path]) -> None:
    old, _, root = homes
    await fill(old)
    server = await open_server(old)
    try:
        with pytest.raises(SivoError) as raised:
            await restore(old, root / "running.tar", replace=True)
        assert raised.value.code == "POSTGRES_HELD"
        assert str(os.getpid()) in raised.value.message
    finally:
        await server.stop()
