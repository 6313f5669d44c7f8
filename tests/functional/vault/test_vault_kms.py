"""A key-encryption key in AWS KMS, as moto's server speaks it, through boto3."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from sivo.base.errors import SivoError
from sivo.base.ids import uuid7
from sivo.base.settings import Settings
from sivo.db.scopes import Database
from sivo.vault import kek_aws, rotation
from sivo.vault.kek_aws import AwsKek
from sivo.vault.keyring import Keyring
from sivo.vault.vault import Vault
from support.ports import free_port


@dataclass
class Kms:
    """A running key service with one key."""

    process: subprocess.Popen[bytes]
    key: str


@pytest.fixture(scope="module")
def kms() -> Iterator[Kms]:
    import boto3

    port = free_port()
    named = {
        "AWS_ENDPOINT_URL_KMS": f"http://127.0.0.1:{port}",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in named.items():
            patch.setenv(name, value)
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ})
        try:
            yield Kms(process, _key(boto3.client("kms")))
        finally:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()


def _key(client: object) -> str:
    for _ in range(300):
        try:
            return str(client.create_key()["KeyMetadata"]["Arn"])  # type: ignore[attr-defined]
        except Exception:
            time.sleep(0.2)
    raise AssertionError("the key service did not start")


async def test_secrets_live_under_a_key_that_never_leaves_the_service(
    kms: Kms, database: Database, settings: Settings
) -> None:
    there = settings.model_copy(update={"kek": f"aws-kms:{kms.key}"})
    vault, tenant = await Vault.for_node(database, there), uuid7()
    await vault.put_secret(tenant, "stt.key", "sealed far away")
    again = await Vault.for_node(database, there)
    found = await again.get_secret(tenant, "stt.key")
    assert found is not None and found.value == "sealed far away"
    assert again.fingerprint("x") == vault.fingerprint("x"), "kept in the database, since nothing can be derived"
    assert not settings.kek_file.exists()
    async with database.tenant(tenant) as connection:
        row = await connection.fetchrow("select key_id, wrapped, kek_id from tenant_key")
    assert row["kek_id"] == f"aws-kms:{kms.key}"
    # A wrapped key that somebody moves into another tenant's row does not open.
    with pytest.raises(SivoError, match="InvalidCiphertext") as raised:
        await AwsKek(kms.key).unwrap(row["wrapped"], f"{uuid7()}|{row['key_id']}")
    assert raised.value.code == "VAULT_KEK_UNUSABLE"


async def test_from_the_file_into_the_service(kms: Kms, database: Database, settings: Settings) -> None:
    vault, tenant = await Vault.for_node(database, settings), uuid7()
    await vault.put_secret(tenant, "stt.key", "moved")
    moving = settings.model_copy(update={"kek": f"aws-kms:{kms.key}", "kek_previous": "file"})
    keyring = Keyring.from_settings(moving)
    async with database.platform("test: begin") as connection:
        await rotation.begin(connection, keyring)
    while await rotation.step(database, keyring):
        pass
    settings.kek_file.unlink()
    there = await Vault.for_node(database, moving.model_copy(update={"kek_previous": ""}))
    found = await there.get_secret(tenant, "stt.key")
    assert found is not None and found.value == "moved"
    assert there.fingerprint("x") == vault.fingerprint("x")


async def test_a_running_node_goes_on_while_the_service_is_away_and_others_are_told(
    kms: Kms, database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kek_aws, "READ_S", 0.3)
    monkeypatch.setattr(kek_aws, "TOTAL_S", 1.5)
    there = settings.model_copy(update={"kek": f"aws-kms:{kms.key}"})
    vault, known, unknown = await Vault.for_node(database, there), uuid7(), uuid7()
    await vault.put_secret(known, "stt.key", "in use")
    kms.process.send_signal(signal.SIGSTOP)  # accepts connections and answers nothing: the worst way to be away
    try:
        found = await vault.get_secret(known, "stt.key")
        assert found is not None and found.value == "in use"
        await vault.put_secret(known, "tts.key", "entered meanwhile")
        busy = asyncio.create_task(vault.put_secret(unknown, "stt.key", "x"))
        steps = 0
        while not busy.done():  # the loop serves others while a thread waits
            await asyncio.sleep(0.01)
            steps += 1
        assert steps > 10
        with pytest.raises(SivoError, match="does not answer") as raised:
            await busy
        assert (raised.value.code, raised.value.status) == ("VAULT_KEK_AWAY", 503)
        with pytest.raises(SivoError) as raised:
            await Vault.for_node(database, there)
        assert raised.value.code == "VAULT_KEK_AWAY"
    finally:
        kms.process.send_signal(signal.SIGCONT)
    await vault.put_secret(unknown, "stt.key", "x")


async def test_a_key_that_may_not_be_used_is_said(kms: Kms) -> None:
    with pytest.raises(SivoError, match="NotFoundException") as raised:
        await AwsKek(kms.key[:-4] + "0000").wrap(b"x" * 32, "label")
    assert raised.value.code == "VAULT_KEK_UNUSABLE" and "kms:Decrypt" in (raised.value.remedy or "")


def test_without_boto3_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(SivoError, match="not installed") as raised:
        AwsKek("0198c5a0-0000-7000-8000-000000000000")
    assert "sivo[aws]" in (raised.value.remedy or "")
