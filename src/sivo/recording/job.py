"""The durable job behind a recording row: claim, work off, end in exactly one state."""

from __future__ import annotations

from datetime import datetime

from sivo.base import logs
from sivo.base.clock import Clock
from sivo.base.errors import SivoError
from sivo.db.scopes import Database
from sivo.events import outbox
from sivo.media.journal import JOURNAL_DAMAGED
from sivo.recording import records
from sivo.recording.pipeline import drop_journal, open_journal, store_recording
from sivo.recording.records import Job, Stored
from sivo.recording.timeline import length
from sivo.storage.store import Store
from sivo.vault.envelope import BROKEN
from sivo.vault.vault import Vault

log = logs.get("recording")

#: Codes after which another try cannot help.
_FINAL = frozenset({JOURNAL_DAMAGED, BROKEN})


class RecordingJobs:
    """Works off the recordings of one node; several may run side by side."""

    def __init__(self, database: Database, vault: Vault, store: Store, clock: Clock, node: str) -> None:
        self._database = database
        self._vault = vault
        self._store = store
        self._clock = clock
        self._node = node

    async def succeed(self) -> None:
        """For the one worker of a node, before its first piece of work: what the one before it had begun is free."""
        async with self._database.platform("recording claims of a dead worker") as connection:
            released = await records.release(connection, self._node)
        if released:
            log.info("recordings of a dead worker are begun again", recordings=released)

    async def run_once(self) -> bool:
        """Claim and work off one due row; false when there was none."""
        async with self._database.platform("recording claim") as connection:
            job = await records.claim(connection, self._node, self._clock.now())
        if job is None:
            return False
        bound = log.bind(tenant=str(job.tenant_id), call=str(job.call_id), recording=str(job.id))
        if job.started > records.MAX_STARTS:
            await self._fail(job, f"given up after {job.started - 1} starts")
            bound.error("recording given up", starts=job.started - 1)
            return True
        try:
            state = await self._work(job)
            bound.info("recording done", state=state)
        except FileNotFoundError:
            await self._fail(job, "the journal is gone")
            bound.error("recording failed", cause="journal gone")
        except SivoError as error:
            await self._after_error(job, error)
            bound.warning("recording not stored", code=error.code, starts=job.started)
        except OSError as error:
            await self._retry(job, f"{type(error).__name__}: {error.strerror or 'input/output error'}")
            bound.warning("recording waits", error=type(error).__name__, starts=job.started)
        return True

    async def _work(self, job: Job) -> str:
        if not job.wanted:
            async with self._database.tenant(job.tenant_id) as connection:
                await records.finish_refused(connection, job)
            drop_journal(job.journal_path)
            return "refused"
        journal = await open_journal(self._vault, job)
        if length(journal) == 0:
            await self._fail(job, "the call ended before anything could be recorded")
            drop_journal(job.journal_path)
            return "failed"
        stored = await store_recording(job, journal, self._vault, self._store)
        await self._finish(job, stored, self._clock.now())
        drop_journal(job.journal_path)
        return "stored"

    async def _finish(self, job: Job, stored: Stored, at: datetime) -> None:
        async with self._database.tenant(job.tenant_id) as connection:
            await records.finish_stored(connection, job, stored, at)
            await outbox.put(
                connection,
                job.tenant_id,
                "call.recorded",
                {
                    "callId": str(job.call_id),
                    "recordingId": str(job.id),
                    "format": job.format,
                    "duration_ms": stored.duration_ms,
                    "channels": stored.channels,
                    "size_bytes": stored.size_bytes,
                    "sha256": stored.sha256.hex(),
                    "retention_days": job.retention_days,
                    "expiresAt": job.expires_at.isoformat().replace("+00:00", "Z"),
                    "url": f"/api/recordings/{job.id}/audio",
                },
            )

    async def _after_error(self, job: Job, error: SivoError) -> None:
        if error.code in _FINAL:
            await self._fail(job, str(error))
        else:
            await self._retry(job, str(error))

    async def _retry(self, job: Job, cause: str) -> None:
        async with self._database.platform("recording retry") as connection:
            await records.retry(connection, job, self._clock.now(), cause)

    async def _fail(self, job: Job, cause: str) -> None:
        async with self._database.platform("recording failed") as connection:
            await records.finish_failed(connection, job, cause)
