"""Journal -> encoded -> encrypted -> uploaded -> read back -> only then is the journal dropped."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sivo.base.errors import SivoError, register
from sivo.media import journal as journals
from sivo.recording.binding import OBJECT_PURPOSE, object_aad
from sivo.recording.encode import CHANNELS, encode
from sivo.recording.records import Job, Stored
from sivo.recording.timeline import length, pairs
from sivo.storage.store import Store
from sivo.vault import stream
from sivo.vault.vault import Vault

RECORDING_MISMATCH = register("RECORDING_MISMATCH", 500)


@dataclass
class _Tally:
    """What went into encryption."""

    digest: hashlib._Hash
    size: int = 0

    def count(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self.digest.update(chunk)
            self.size += len(chunk)
            yield chunk


async def open_journal(vault: Vault, job: Job) -> journals.Journal:
    """The job's journal, decrypted with the tenant's key; torn ends are tolerated.

    ``FileNotFoundError`` when the file is gone, ``SivoError`` ``JOURNAL_DAMAGED`` when it is not what was written.
    """
    path = Path(job.journal_path)
    header = await asyncio.to_thread(journals.read_header, path)
    key = await vault.open(job.tenant_id, journals.KEY_PURPOSE, header.key_sealed)
    return await asyncio.to_thread(lambda: journals.read(path, key, salvage=True))


async def store_recording(job: Job, journal: journals.Journal, vault: Vault, store: Store) -> Stored:
    """Encode, encrypt under a fresh key, upload, and read back what was uploaded."""
    key = stream.new_key()
    object_key = f"{job.tenant_id}/recordings/{job.created_at:%Y/%m}/{job.id}.{job.format}.sivo"
    tally = _Tally(hashlib.sha256())
    frames = length(journal)
    plain = tally.count(encode(pairs(journal), frames, job.format))
    await store.put(object_key, stream.seal_stream(key, object_aad(job.tenant_id, job.id), plain))
    await asyncio.to_thread(_verify, job, store, object_key, key, tally)
    return Stored(
        object_key=object_key,
        wrapped_key=await vault.seal(job.tenant_id, OBJECT_PURPOSE, key),
        size_bytes=tally.size,
        sha256=tally.digest.digest(),
        duration_ms=frames * 20,
        channels=CHANNELS,
    )


def _verify(job: Job, store: Store, object_key: str, key: bytes, tally: _Tally) -> None:
    seen = _Tally(hashlib.sha256())
    plain = stream.open_stream(key, object_aad(job.tenant_id, job.id), store.read(object_key))
    for _chunk in seen.count(plain):
        pass
    if (seen.size, seen.digest.digest()) != (tally.size, tally.digest.digest()):
        raise SivoError(
            RECORDING_MISMATCH,
            f"the store gave back {seen.size} bytes that are not the {tally.size} that were written",
            where=object_key,
            remedy="check the object store; the journal is kept and the upload is tried again",
        )


def drop_journal(path: str) -> None:
    """Remove a journal that is no longer needed; one that is gone already is fine."""
    Path(path).unlink(missing_ok=True)
