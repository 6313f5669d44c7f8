"""Callers that ring one DID again and again while processes are killed, each with a log of its own of what it saw."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from support.company import Company
from support.raw_phone import RawPhone

_serials = itertools.count(1)
#: Seconds between two repetitions of a request, and how long a caller waits for an answer.
REPEAT_S, PATIENCE_S = 0.5, 20.0


@dataclass
class Attempt:
    """One call as its caller saw it: final status (0: none came), who ended it, and with which Reason."""

    number: str
    status: int = 0
    ended_by: str = ""
    reason: str = ""


@dataclass
class Traffic:
    """Calls from the carrier to the company's DID; a call lasts one of ``seconds``."""

    company: Company
    seconds: Iterable[float]
    attempts: list[Attempt] = field(default_factory=list)
    up: int = 0
    stopping: bool = False

    async def ring_again_and_again(self) -> None:
        """One caller after the other until told to stop."""
        lengths = iter(self.seconds)
        while not self.stopping:
            await self.call(next(lengths))
            await asyncio.sleep(0.1)

    async def call(self, seconds: float) -> Attempt:
        """One call."""
        attempt = Attempt(f"+34611{next(_serials):06}")
        self.attempts.append(attempt)
        async with self.company.carrier(attempt.number) as phone:
            await self._ring(phone, attempt)
            if attempt.status == 200:
                self.up += 1
                await self._talk(phone, attempt, seconds)
                self.up -= 1
        return attempt

    async def _ring(self, phone: RawPhone, attempt: Attempt) -> None:
        asked = asyncio.create_task(phone.invite(self.company.did, 4000, auth=False))
        for _ in range(round(PATIENCE_S / REPEAT_S)):
            done, _pending = await asyncio.wait({asked}, timeout=REPEAT_S)
            if done:
                break
            if not phone.inbox:
                phone.send(phone._invite)  # as UDP phones do while nothing is heard (timer A)
        asked.cancel()
        with suppress(TimeoutError, asyncio.CancelledError):
            attempt.status = (await asked).status
        if not attempt.status:
            phone.cancel()

    async def _talk(self, phone: RawPhone, attempt: Attempt, seconds: float) -> None:
        with suppress(TimeoutError):
            bye = await phone.wait("BYE", seconds)
            attempt.ended_by, attempt.reason = "platform", bye.headers.get("reason", "")
            return
        attempt.ended_by = "caller"
        for _ in range(round(PATIENCE_S / REPEAT_S)):
            mark = len(phone.inbox)
            phone.send(phone.request("BYE", phone.remote_target, to=f"sip:x@{phone.domain}"))
            await asyncio.sleep(REPEAT_S / 5)
            if any(one.status >= 200 or one.method == "BYE" for one in phone.inbox[mark:]):
                return
            await asyncio.sleep(REPEAT_S)


@asynccontextmanager
async def traffic(company: Company, callers: int, rng: random.Random, most_s: float = 4.0) -> AsyncIterator[Traffic]:
    """``callers`` at a time ring extension 202, who answers at once, until the block ends and all have hung up."""
    async with company.phone("202") as person:
        person.auto_answer, person.rtp_port = 200, 4002
        assert (await person.register(7200)).status == 200
        running = Traffic(company, iter(lambda: rng.uniform(0.3, most_s), None))
        tasks = [asyncio.create_task(running.ring_again_and_again()) for _ in range(callers)]
        try:
            yield running
        finally:
            running.stopping = True
            await asyncio.gather(*tasks)
