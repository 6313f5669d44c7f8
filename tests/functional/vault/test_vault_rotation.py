"""Key-encryption keys that change under a living database, and processes that die while they do."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from uuid import UUID

import pytest

from sivo.base.errors import SivoError
from sivo.base.ids import uuid7
from sivo.base.settings import Settings
from sivo.db.scopes import Database
from sivo.vault import rotation
from sivo.vault.kek import FileKek
from sivo.vault.keyring import Keyring
from sivo.vault.vault import Vault

TENANTS = 60


@pytest.fixture
def rotating(settings: Settings) -> Settings:
    """The settings of a node that was restarted with a new key, its own one being the one before."""
    FileKek.load(settings.home / "kek2")
    return settings.model_copy(update={"kek": f"file:{settings.home / 'kek2'}", "kek_previous": "file"})


async def fill(database: Database, settings: Settings, count: int = TENANTS) -> dict[UUID, str]:
    vault = await Vault.for_node(database, settings)
    values = {uuid7(): f"value-{number}" for number in range(count)}
    await asyncio.gather(*(vault.put_secret(tenant, "stt.key", value) for tenant, value in values.items()))
    return values


async def readable(database: Database, settings: Settings, values: dict[UUID, str]) -> bool:
    """Whether a process that starts now reads every secret."""
    vault = await Vault.for_node(database, settings)
    found = [await vault.get_secret(tenant, "stt.key") for tenant in values]
    return [one.value if one else None for one in found] == list(values.values())


async def states(database: Database, settings: Settings) -> dict[str, tuple[str, int]]:
    keyring = Keyring.from_settings(settings)
    return {one.kek_id: (one.state, one.data_keys) for one in await rotation.status(database, keyring)}


async def begin(database: Database, settings: Settings) -> bool:
    async with database.platform("test: begin") as connection:
        return await rotation.begin(connection, Keyring.from_settings(settings))


async def finish(database: Database, settings: Settings) -> None:
    while await rotation.step(database, Keyring.from_settings(settings)):
        pass


async def test_a_killed_rotation_leaves_everything_readable_and_is_taken_up_again(
    database: Database, app_dsn: str, settings: Settings, rotating: Settings
) -> None:
    values = await fill(database, settings)
    environment = {
        **os.environ,
        "SIVO_HOME": str(settings.home),
        "SIVO_KEK": rotating.kek,
        "SIVO_KEK_PREVIOUS": rotating.kek_previous,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]),
    }
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "support.rotating_child", app_dsn, env=environment, stdout=asyncio.subprocess.PIPE
    )
    old, new = Keyring.from_settings(settings).current.kek_id, Keyring.from_settings(rotating).current.kek_id
    assert child.stdout is not None
    await asyncio.wait_for(child.stdout.readline(), 30)
    async with asyncio.timeout(30):
        while (await states(database, rotating)).get(new, ("", 0))[1] < 5:
            await asyncio.sleep(0.002)
    child.send_signal(signal.SIGKILL)
    await child.wait()
    middle = await states(database, rotating)
    assert middle[old][0] == "readable" and 0 < middle[old][1] < TENANTS + 1, middle
    assert middle[new][0] == "active" and middle[old][1] + middle[new][1] == TENANTS + 1
    assert await readable(database, rotating, values)

    await finish(database, rotating)
    assert await states(database, rotating) == {new: ("active", TENANTS + 1), old: ("retired", 0)}
    assert await readable(database, rotating.model_copy(update={"kek_previous": ""}), values)


async def test_the_retired_key_is_refused_for_reading_writing_and_coming_back(
    database: Database, settings: Settings, rotating: Settings
) -> None:
    await fill(database, settings, 2)
    lagging = await Vault.for_node(database, settings)  # a node that nobody restarted
    assert await begin(database, rotating) is True
    assert await begin(database, rotating) is False
    await finish(database, rotating)
    with pytest.raises(SivoError, match="was retired by a rotation"):
        await Vault.for_node(database, settings)
    with pytest.raises(SivoError) as raised:
        await lagging.put_secret(uuid7(), "a", "b")  # it would have to wrap a new data key
    assert raised.value.code == "VAULT_KEK_UNUSABLE"
    back = settings.model_copy(update={"kek": "file", "kek_previous": rotating.kek})
    with pytest.raises(SivoError, match="not taken back"):
        await begin(database, back)


async def test_new_keys_are_wrapped_under_the_old_one_until_the_rotation_begins(
    database: Database, settings: Settings, rotating: Settings
) -> None:
    """So that nodes can be restarted one after another: those that have only the old key still read everything."""
    values = await fill(database, settings, 1)
    early = await Vault.for_node(database, rotating)
    tenant = uuid7()
    await early.put_secret(tenant, "stt.key", "made by the restarted node")
    assert await readable(database, settings, values | {tenant: "made by the restarted node"})
    await begin(database, rotating)
    other = uuid7()
    await early.put_secret(other, "stt.key", "made after the beginning")
    stale = await Vault.for_node(database, rotating)
    assert (await stale.get_secret(other, "stt.key")) is not None
    assert (await states(database, rotating))[Keyring.from_settings(rotating).current.kek_id] == ("active", 1)


async def test_a_node_without_the_key_of_its_database_says_which_it_needs(
    database: Database, settings: Settings, rotating: Settings
) -> None:
    await fill(database, settings, 1)
    needed = Keyring.from_settings(settings).current.kek_id
    with pytest.raises(SivoError, match=needed) as raised:
        await Vault.for_node(database, rotating.model_copy(update={"kek_previous": ""}))
    assert "SIVO_KEK_PREVIOUS" in (raised.value.remedy or "")


async def test_fingerprints_outlive_a_rotation(database: Database, settings: Settings, rotating: Settings) -> None:
    before = (await Vault.for_node(database, settings)).fingerprint("a value")
    assert before == Vault(database, FileKek.load(settings.kek_file)).fingerprint("a value"), "as earlier releases"
    await begin(database, rotating)
    await finish(database, rotating)
    after = await Vault.for_node(database, rotating.model_copy(update={"kek_previous": ""}))
    assert after.fingerprint("a value") == before


async def test_another_data_key_seals_secrets_again_and_opens_what_was_sealed_before(
    database: Database, settings: Settings
) -> None:
    vault, other = await Vault.for_node(database, settings), await Vault.for_node(database, settings)
    tenant = uuid7()
    await vault.put_secret(tenant, "stt.key", "kept")
    old = (await other.tenant_key(tenant)).key_id
    recording = await vault.seal(tenant, "recording:1", b"frames")
    key_id, again = await rotation.replace_data_key(database, vault, tenant)
    assert again == 1 and key_id != old
    async with asyncio.timeout(5):
        while (await other.tenant_key(tenant)).key_id != key_id:  # told over the database
            await asyncio.sleep(0.01)
    for one in (vault, other, await Vault.for_node(database, settings)):
        secret = await one.get_secret(tenant, "stt.key")
        assert secret is not None and secret.value == "kept"
        assert await one.open(tenant, "recording:1", recording) == b"frames"
    async with database.tenant(tenant) as connection:
        sealed = await connection.fetchval("select sealed from secret")
    assert bytes(sealed[1:17]) == key_id.bytes
    async with database.tenant(tenant) as connection:
        await connection.execute("delete from tenant_key")
    assert await vault.open(tenant, "recording:1", recording) == b"frames", "still cached"
    vault.forget(tenant)
    with pytest.raises(SivoError, match="does not exist here"):
        await vault.open(tenant, "recording:1", recording)
    _, items = await rotation.replace_data_key(database, vault, None)
    assert items >= 1
    again_started = await Vault.for_node(database, settings)
    assert again_started.fingerprint("x") == vault.fingerprint("x")


async def test_last_use_is_written_once_for_many_and_goes_with_its_secret(
    database: Database, settings: Settings
) -> None:
    vault, tenant = await Vault.for_node(database, settings), uuid7()
    await vault.put_secret(tenant, "stt.key", "a")
    assert [one.last_used_at for one in await vault.list_secrets(tenant)] == [None]
    for _ in range(100):
        vault.uses.note(tenant, "stt.key")
    vault.uses.note(tenant, "not there")
    await vault.uses.flush()
    (shown,) = await vault.list_secrets(tenant)
    assert shown.last_used_at is not None
    vault.uses.note(tenant, "stt.key")  # within the minute: nothing more to write
    async with database.tenant(tenant) as connection:
        before = await connection.fetchval("select xmin::text from secret_use")
    await vault.uses.flush()
    async with database.tenant(tenant) as connection:
        assert await connection.fetchval("select xmin::text from secret_use") == before
        assert await connection.fetchval("select count(*) from secret_use") == 1
    await vault.delete_secret(tenant, "stt.key")
    async with database.tenant(tenant) as connection:
        assert await connection.fetchval("select count(*) from secret_use") == 0


def test_a_key_in_the_environment_is_read_and_its_absence_is_said(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    FileKek.load(settings.kek_file)
    monkeypatch.setenv("SIVO_KEK_VALUE", settings.kek_file.read_text())
    found = Keyring.from_settings(settings.model_copy(update={"kek": "env"})).current
    assert found.kek_id.startswith("env:") and found.derive("x") == FileKek.load(settings.kek_file).derive("x")
    for source, said in (
        ("env:NOT_SET_AT_ALL", "is not set"),
        ("file:/nowhere/kek", "there is no key-encryption key"),
        ("aws-kms:alias/mine", "not by an alias"),
        ("vault:transit", "no kind of key-encryption key"),
    ):
        with pytest.raises(SivoError, match=said) as raised:
            Keyring.from_settings(settings.model_copy(update={"kek": source}))
        assert raised.value.code == "VAULT_KEK_UNUSABLE" and raised.value.remedy
    with pytest.raises(SivoError, match="the same key"):
        Keyring.from_settings(settings.model_copy(update={"kek_previous": "file"}))
