"""The vault over a real database."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import asyncpg
import pytest

from sivo.base.errors import SivoError
from sivo.base.ids import uuid7
from sivo.base.settings import Settings
from sivo.db.scopes import Database
from sivo.vault.kek import FileKek
from sivo.vault.vault import Vault

CANARY = "canary-5f1c-never-in-the-clear"


@pytest.fixture
def kek(settings: Settings) -> FileKek:
    return FileKek.load(settings.kek_file)


async def test_secret_survives_a_new_process_and_is_sealed_in_the_database(
    database: Database, kek: FileKek, settings: Settings, pg, database_name: str
) -> None:
    tenant = uuid7()
    print_of = await Vault(database, kek).put_secret(tenant, "stt.key", CANARY, "api.example.com")
    again = Vault(database, FileKek.load(settings.kek_file, create=False))
    secret = await again.get_secret(tenant, "stt.key")
    assert secret is not None and (secret.value, secret.host) == (CANARY, "api.example.com")
    assert CANARY not in repr(secret)
    assert [(s.name, s.fingerprint) for s in await again.list_secrets(tenant)] == [("stt.key", print_of)]

    behind = await asyncpg.connect(pg.superuser_dsn(database_name))
    try:
        stored = await behind.fetchval("select sealed from secret")
        wrapped = await behind.fetchval("select wrapped from tenant_key")
    finally:
        await behind.close()
    assert CANARY.encode() not in stored
    assert (await again.tenant_key(tenant)).material not in wrapped


async def test_sealed_value_opens_for_its_tenant_and_purpose_only(database: Database, kek: FileKek) -> None:
    vault = Vault(database, kek)
    mine, other = uuid7(), uuid7()
    sealed = await vault.seal(mine, "journal:1", b"words")
    await vault.seal(other, "x", b"y")
    assert await vault.open(mine, "journal:1", sealed) == b"words"
    for tenant, purpose, data in (
        (other, "journal:1", sealed),
        (mine, "journal:2", sealed),
        (mine, "journal:1", sealed[:-1] + bytes([sealed[-1] ^ 1])),
        (mine, "journal:1", b"short"),
    ):
        with pytest.raises(SivoError) as raised:
            await vault.open(tenant, purpose, data)
        assert raised.value.code == "VAULT_SEAL_BROKEN"
        # A process that never cached the owner's key may not get at it through another tenant either.
        with pytest.raises(SivoError):
            await Vault(database, kek).open(tenant, purpose, data)


async def test_key_is_made_once_by_many(database: Database, kek: FileKek) -> None:
    tenant = uuid7()
    vaults = [Vault(database, kek) for _ in range(5)]
    keys = await asyncio.gather(*(vault.tenant_key(tenant) for vault in vaults))
    assert len({key.key_id for key in keys}) == 1
    items = await asyncio.gather(*(vault.platform_item("signer", lambda: os.urandom(32)) for vault in vaults))
    assert len(set(items)) == 1


async def test_secret_in_a_callers_transaction_goes_with_it(database: Database, kek: FileKek) -> None:
    vault, tenant = Vault(database, kek), uuid7()
    with pytest.raises(RuntimeError):
        async with database.tenant(tenant) as connection:
            await vault.put_secret(tenant, "a", "b", connection=connection)
            raise RuntimeError
    assert await vault.get_secret(tenant, "a") is None
    assert await vault.delete_secret(tenant, "a") is False


async def test_secrets_are_read_within_a_scope_without_a_second_connection(
    database: Database, kek: FileKek, app_dsn: str
) -> None:
    tenant = uuid7()
    await Vault(database, kek).put_secret(tenant, "a", "b")
    single = await Database.open(app_dsn, max_size=1)
    try:
        cold = Vault(single, kek)
        async with single.tenant(tenant) as connection:
            secret = await cold.get_secret(tenant, "a", connection=connection)
        assert secret is not None and secret.value == "b"
    finally:
        await single.close()


async def test_wrong_key_file_is_said(database: Database, kek: FileKek, tmp_path: Path) -> None:
    tenant = uuid7()
    await Vault(database, kek).put_secret(tenant, "a", "b")
    with pytest.raises(SivoError) as raised:
        await Vault(database, FileKek.load(tmp_path / "kek")).get_secret(tenant, "a")
    assert raised.value.code == "VAULT_KEK_UNUSABLE"


def test_key_file_is_private(tmp_path: Path) -> None:
    path = tmp_path / "kek"
    first = FileKek.load(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert FileKek.load(path).kek_id == first.kek_id
    path.chmod(0o640)
    with pytest.raises(SivoError, match="other users may read"):
        FileKek.load(path)
    path.chmod(0o600)
    path.write_text("nonsense")
    with pytest.raises(SivoError, match="32 bytes"):
        FileKek.load(path)
