"""Effects of the mail worker: claims due messages, hands them to the SMTP server, writes down outcomes.

Crash-safe by its rows: a message that the server took just before this process died is sent again, with the same
Message-ID, so that mailboxes recognise it; none is lost.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from sivo.base import logs
from sivo.base.clock import Clock
from sivo.base.errors import SivoError
from sivo.base.node import node_id
from sivo.base.settings import Settings
from sivo.db.scopes import Database
from sivo.mail import engine, message, rows
from sivo.mail.engine import DEAD, Outcome, Step
from sivo.mail.post import purpose
from sivo.mail.rows import Claimed
from sivo.mail.smtp import SmtpServer
from sivo.vault.vault import Vault

#: Messages under way at once: connections that the server sees.
MAX_IN_FLIGHT = 4
#: Together well below what is left of a claim after the longest attempt.
_WRITE_PAUSES_S = (0.2, 1.0, 3.0)
_LEASE_BEYOND_TIMEOUT = timedelta(seconds=20)
_log = logs.get("mail")


class MailSender:
    """The mail half of the role ``worker``; one per node."""

    def __init__(
        self, settings: Settings, database: Database, vault: Vault, clock: Clock, *, node: str | None = None
    ) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock
        self._node = node or node_id(settings)
        self._configured = bool(settings.smtp_host)
        self._server = SmtpServer(settings)
        self._lease = timedelta(seconds=self._server.timeout_s) + _LEASE_BEYOND_TIMEOUT
        self._released = False

    async def step(self) -> bool:
        """Send what is due; whether there was anything. Without a server messages wait, and expire."""
        if not self._configured:
            return False
        now = self._clock.now()
        async with self._database.platform("mail: claim") as connection:
            if not self._released:
                await rows.release(connection, self._node)
            jobs = await rows.claim(connection, now, node=self._node, limit=MAX_IN_FLIGHT, lease=self._lease)
        self._released = True
        for failed in await asyncio.gather(*(self._handle(job) for job in jobs), return_exceptions=True):
            if isinstance(failed, BaseException):
                # The row keeps its claim and comes up again; nothing is lost, but it has to be seen.
                _log.error("mail broke off", cause=type(failed).__name__)
        return bool(jobs)

    async def expire(self) -> int:
        """Remove finished messages that are past their time; returns how many rows went."""
        async with self._database.platform("mail: retention") as connection:
            return await rows.expire(connection, self._clock.now())

    async def _handle(self, job: Claimed) -> None:
        now = self._clock.now()
        if job.expires_at <= now:
            await self._finish(job, Step(DEAD, error="too late to be of use"), Outcome(), now)
            return
        if engine.keeps_killing(job.started, job.attempts):
            await self._finish(job, Step(DEAD, error="every worker that sent it died"), Outcome(), now)
            return
        outcome = await self._attempt(job)
        after = self._clock.now()
        await self._finish(job, engine.after(job.attempts, outcome, job.expires_at, after), outcome, after)

    async def _attempt(self, job: Claimed) -> Outcome:
        letter = message.decode(await self._vault.open(job.tenant_id, purpose(job.id), job.sealed))
        try:
            recipient = message.wire_address(letter.to)
            made = message.compose(letter, job.id, self._server.sender, job.language, job.created_at)
        except ValueError:
            return Outcome(None, "no message can be made for this address", final=True)
        outcome = await self._server.send(made, recipient)
        if outcome.error is None:
            return outcome
        # Who it was for is personal data; servers like to repeat it.
        said = outcome.error.replace(recipient, "<recipient>").replace(letter.to, "<recipient>")
        return Outcome(outcome.code, said, outcome.final)

    async def _finish(self, job: Claimed, step: Step, outcome: Outcome, now: datetime) -> None:
        """Write an outcome down; a database that is away for a moment must not turn it into a second message."""
        for pause in (*_WRITE_PAUSES_S, None):
            try:
                async with self._database.platform("mail: outcome") as connection:
                    await rows.finish(connection, job, step, outcome, now)
                break
            except SivoError as error:
                if error.code != "UNAVAILABLE" or pause is None:
                    raise
            await asyncio.sleep(pause)
        _log.info(
            "mail attempt",
            tenant=str(job.tenant_id),
            mail=str(job.id),
            template=job.template,
            state=step.state,
            code=outcome.code,
            error=step.error,
        )
