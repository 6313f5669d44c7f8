"""From a journal on disk to a stored object, on a real database, vault and store."""

from __future__ import annotations

import io
import os
import wave
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from sivo.base.clock import VirtualClock
from sivo.base.ids import uuid7
from sivo.base.settings import Settings
from sivo.db.scopes import Database
from sivo.media import journal
from sivo.media.protocol import CaptureChanged, Fact
from sivo.recording import records
from sivo.recording.binding import OBJECT_PURPOSE, object_aad
from sivo.recording.job import RecordingJobs
from sivo.recording.policy import RecordingDecision
from sivo.recording.retention import expire_recordings
from sivo.storage.store import Objects
from sivo.vault import stream
from sivo.vault.kek import FileKek
from sivo.vault.vault import Vault

NODE = "this-node"
VOICE = bytes(range(160))


class House:
    """One tenant with one ended call, and everything that works its recording off."""

    def __init__(self, settings: Settings, database: Database, clock: VirtualClock) -> None:
        self.database, self.clock = database, clock
        self.tenant, self.call = uuid7(), uuid7()
        self.vault = Vault(database, FileKek.load(settings.kek_file))
        self.objects = settings.object_dir
        self.store = Objects.local(settings.object_dir)
        self.jobs = RecordingJobs(database, self.vault, self.store, clock, NODE)
        self.path = settings.home / "call.sivoj"

    async def write_journal(self, frames: int) -> None:
        key = os.urandom(32)
        sealed = await self.vault.seal(self.tenant, journal.KEY_PURPOSE, key)
        header = journal.Header(
            session=str(self.call),
            tenant=str(self.tenant),
            call=str(self.call),
            key_sealed=sealed,
            nonce_prefix=os.urandom(4),
            created_at=0,
        )
        sealer = journal.Sealer(key, header)
        started = CaptureChanged(recording=True, at_ms=0)
        body = journal.fact_record(Fact(session=str(self.call), seq=1, at=0, body=started))
        body += b"".join(journal.frame_record(number, VOICE, VOICE) for number in range(frames))
        self.path.write_bytes(journal.preamble(header) + sealer.seal(body))

    async def promise(self, *, capture: bool = True, format: str = "wav", days: int = 30) -> UUID:
        decision = RecordingDecision(
            capture=capture,
            rule="policy all (tenant)",
            format=format,
            retention_days=days,
            provider_id="managed",
            kms=True,
            expiry_action="delete",
            sources={},
        )
        async with self.database.tenant(self.tenant) as connection:
            await connection.execute(
                """insert into call (id, tenant_id, direction, from_number, to_number, state, created_at)
                   values ($1, $2, 'inbound', '+34910000001', '+34910000100', 'ended', $3) on conflict do nothing""",
                self.call,
                self.tenant,
                self.clock.now(),
            )
            return await records.expect(
                connection,
                tenant_id=self.tenant,
                call_id=self.call,
                node=NODE,
                journal_path=str(self.path),
                decision=decision,
                at=self.clock.now(),
            )

    async def row(self) -> dict[str, object]:
        async with self.database.tenant(self.tenant) as connection:
            return dict(await connection.fetchrow("select * from recording where call_id = $1", self.call))

    async def events(self) -> list[str]:
        async with self.database.tenant(self.tenant) as connection:
            return [row["type"] for row in await connection.fetch("select type from outbox order by id")]


@pytest.fixture
def house(settings: Settings, database: Database, clock: VirtualClock) -> House:
    return House(settings, database, clock)


async def test_a_journal_becomes_an_encrypted_object_and_goes(house: House) -> None:
    await house.write_journal(100)
    id = await house.promise()
    assert await house.jobs.run_once()
    row = await house.row()
    assert (row["state"], row["duration_ms"], row["channels"]) == ("stored", 2000, 2)
    assert not house.path.exists()
    assert await house.events() == ["call.recorded"]
    key = await house.vault.open(house.tenant, OBJECT_PURPOSE, row["wrapped_key"])
    sealed = b"".join(house.store.read(row["object_key"]))
    assert b"RIFF" not in sealed
    plain = b"".join(stream.open_stream(key, object_aad(house.tenant, id), [sealed]))
    with wave.open(io.BytesIO(plain)) as heard:
        assert (heard.getnchannels(), heard.getnframes()) == (2, 16_000)


async def test_an_object_does_not_open_as_another_recording(house: House) -> None:
    await house.write_journal(10)
    await house.promise()
    await house.jobs.run_once()
    row = await house.row()
    key = await house.vault.open(house.tenant, OBJECT_PURPOSE, row["wrapped_key"])
    sealed = b"".join(house.store.read(row["object_key"]))
    with pytest.raises(Exception, match="VAULT_SEAL_BROKEN"):
        list(stream.open_stream(key, object_aad(house.tenant, uuid7()), [sealed]))


async def test_without_a_policy_it_is_refused_and_the_journal_goes(house: House) -> None:
    await house.write_journal(10)
    await house.promise(capture=False)
    await house.jobs.run_once()
    row = await house.row()
    assert (row["state"], row["cause"]) == ("refused", "policy all (tenant)")
    assert not house.path.exists()
    assert await house.events() == []
    assert list(house.objects.rglob("*.sivo")) == []


async def test_a_journal_that_is_gone_is_a_failure_with_a_cause(house: House) -> None:
    await house.promise()
    await house.jobs.run_once()
    row = await house.row()
    assert (row["state"], row["cause"]) == ("failed", "the journal is gone")


async def test_a_claim_of_a_dead_worker_runs_out_and_the_work_is_done_once(house: House) -> None:
    await house.write_journal(10)
    await house.promise()
    async with house.database.platform("test: a worker that dies") as connection:
        assert await records.claim(connection, NODE, house.clock.now()) is not None
    assert not await house.jobs.run_once()
    house.clock.advance(records.CLAIM_SECONDS + 1)
    assert await house.jobs.run_once()
    assert (await house.row())["state"] == "stored"
    assert not await house.jobs.run_once()
    assert await house.events() == ["call.recorded"]


async def test_the_next_worker_of_the_node_waits_for_no_claim_and_another_nodes_stands(house: House) -> None:
    await house.write_journal(10)
    await house.promise()
    async with house.database.platform("test: a worker that dies") as connection:
        assert await records.claim(connection, NODE, house.clock.now()) is not None
        assert await records.release(connection, "another node") == 0
    assert not await house.jobs.run_once()
    await house.jobs.succeed()
    assert await house.jobs.run_once()
    assert (await house.row())["state"] == "stored"


async def test_a_row_that_kills_every_worker_is_given_up(house: House) -> None:
    await house.write_journal(10)
    await house.promise()
    for _ in range(records.MAX_STARTS):
        async with house.database.platform("test: workers that die") as connection:
            assert await records.claim(connection, NODE, house.clock.now()) is not None
        house.clock.advance(records.CLAIM_SECONDS + 1)
    assert await house.jobs.run_once()
    row = await house.row()
    assert (row["state"], row["cause"]) == ("failed", f"given up after {records.MAX_STARTS} starts")
    assert house.path.exists()


async def test_another_nodes_journal_is_left_alone(house: House) -> None:
    await house.write_journal(10)
    await house.promise()
    other = RecordingJobs(house.database, house.vault, house.store, house.clock, "another-node")
    assert not await other.run_once()


async def test_the_expiry_is_sealed_and_kept(house: House) -> None:
    await house.write_journal(10)
    await house.promise(days=30)
    await house.promise(days=1)
    row = await house.row()
    assert row["expires_at"] - row["created_at"] == timedelta(days=30)
    await house.jobs.run_once()
    (stored,) = house.objects.rglob("*.sivo")
    house.clock.advance(29 * 86_400)
    assert await expire_recordings(house.database, house.store, house.clock.now()) == 0
    house.clock.advance(1 * 86_400 + 1)
    assert await expire_recordings(house.database, house.store, house.clock.now()) == 1
    assert not Path(stored).exists()
    assert (await house.row())["state"] == "expired"
