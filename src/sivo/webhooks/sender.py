"""Effects of the webhook worker: claims due deliveries, sends them through the guarded client, writes down outcomes.

Crash-safe by its rows: whatever this process holds is claimed again when its claim runs out, so a delivery can arrive
twice, always with the same event id, and never not at all.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from uuid import UUID

from sivo.base import logs
from sivo.base.clock import Clock
from sivo.base.errors import SivoError
from sivo.base.node import node_id
from sivo.base.settings import Settings
from sivo.config import state
from sivo.db.scopes import Connection, Database
from sivo.events import outbox
from sivo.events.catalogue import WEBHOOK_TEST
from sivo.outbound.client import GuardedClient, Limits
from sivo.vault.vault import Secret, Vault
from sivo.webhooks import deliveries, engine, health
from sivo.webhooks.deliveries import Claimed
from sivo.webhooks.engine import Outcome, Progress, Step
from sivo.webhooks.fan_out import DLQ_KEY, TIMEOUT_KEY, fan_out, key_value
from sivo.webhooks.resources import WEBHOOK_ENDPOINT

#: Requests under way at once, in all and to one endpoint: a slow receiver must not hold up the others.
MAX_IN_FLIGHT = 32
MAX_PER_ENDPOINT = 4
#: Longer than the largest time-out that can be set (30 s), so that a living worker never loses its claim.
LEASE = timedelta(seconds=40)
#: An answer's body is not used; more than this is not even read.
_MAX_ANSWER = 64 * 1024

#: Together well below what is left of a claim after the longest request.
_WRITE_PAUSES_S = (0.2, 1.0, 3.0)

_log = logs.get("webhooks")


class _EndpointGoneError(Exception):
    """The endpoint was deleted or switched off."""


class _EndpointFailedError(Exception):
    """The endpoint was switched off because it failed for days; the text says so."""


class Sender:
    """The webhook half of the role ``worker``; one per node."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        vault: Vault,
        client: GuardedClient,
        clock: Clock,
        *,
        node: str | None = None,
    ) -> None:
        self._node = node or node_id(settings)
        self._released = False
        self._settings = settings
        self._database = database
        self._vault = vault
        self._client = client
        self._clock = clock
        self._running: dict[asyncio.Task[None], UUID] = {}

    async def step(self) -> bool:
        """Fan out waiting events, start what is due, and return whether there was anything; sending goes on behind.

        With all places taken it waits for one to become free.
        """
        if not self._released:
            async with self._database.platform("webhooks: claims of before") as connection:
                await deliveries.release(connection, self._node)
            self._released = True
        now = self._clock.now()
        handled = await self._fan_out(now)
        started = await self._start_due(now)
        if len(self._running) >= MAX_IN_FLIGHT:
            await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
        return bool(handled or started)

    async def run_once(self, now: datetime | None = None) -> int:
        """Do all that is due at ``now`` and wait for it; returns the number of requests made."""
        at = now or self._clock.now()
        while await self._fan_out(at):
            pass
        total = 0
        while started := await self._start_due(at):
            total += started
            await self.drain()
        return total

    async def drain(self) -> None:
        """Wait for the requests under way (at most their time-outs)."""
        if self._running:
            await asyncio.wait(list(self._running))

    async def expire(self) -> int:
        """Remove what is past its retention; returns how many rows went."""
        now = self._clock.now()
        async with self._database.platform("webhooks: retention") as connection:
            removed = await outbox.sweep(connection, now)
            for tenant_id in await deliveries.tenants_with_old(connection, now):
                days = await key_value(connection, self._settings, tenant_id, DLQ_KEY)
                removed += await deliveries.expire(connection, tenant_id, days, now)
        return removed

    async def _fan_out(self, now: datetime) -> int:
        async with self._database.platform("webhooks: fan out") as connection:
            return await fan_out(connection, self._settings, now)

    async def _start_due(self, now: datetime) -> int:
        free = MAX_IN_FLIGHT - len(self._running)
        if free <= 0:
            return 0
        load = Counter(self._running.values())
        async with self._database.platform("webhooks: claim") as connection:
            jobs = await deliveries.claim(
                connection,
                now,
                node=self._node,
                limit=free,
                per_endpoint=MAX_PER_ENDPOINT,
                lease=LEASE,
                busy=load,
            )
        for job in jobs:
            task = asyncio.create_task(self._handle(job, now), name=f"webhook-{job.id}")
            self._running[task] = job.endpoint_id
            task.add_done_callback(self._done)
        return len(jobs)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            # The row keeps its claim and comes up again; nothing is lost, but it has to be seen.
            _log.error("delivery_broke_off", cause=type(error).__name__, task=task.get_name())

    async def _handle(self, job: Claimed, now: datetime) -> None:
        log = _log.bind(tenant=str(job.tenant_id), delivery=str(job.id), event_type=job.type)
        if engine.keeps_killing(job.started, job.attempts):
            await self._give_up(job, engine.DEAD, "every worker that sent it died", now)
            log.error("delivery_kills_workers")
            return
        try:
            url, secret, timeout_ms = await self._target(job)
        except _EndpointGoneError:
            await self._give_up(job, engine.CANCELLED, "the endpoint was removed or switched off", now)
            return
        except _EndpointFailedError as failed:
            await self._give_up(job, engine.DEAD, str(failed), now)
            return
        outcome = await self._send(job, url, secret, timeout_ms)
        step = engine.after(Progress(job.attempts, job.retry_max), outcome, now)
        disabled = await self._write(lambda connection: _note(connection, job, step, outcome, now))
        if disabled:
            log.warning("endpoint_disabled", endpoint=str(job.endpoint_id))
        log.info("delivery_attempt", state=step.state, status=outcome.status, error=outcome.error, ms=outcome.took_ms)

    async def _give_up(self, job: Claimed, state_: str, cause: str, now: datetime) -> None:
        await self._write(lambda connection: deliveries.give_up(connection, job, state_, cause, now))

    async def _write(self, write: Callable[[Connection], Awaitable[bool]]) -> bool:
        """Write an outcome down; a database that is away for a moment must not turn it into a duplicate request."""
        for pause in (*_WRITE_PAUSES_S, None):
            try:
                async with self._database.platform("webhooks: outcome") as connection:
                    return await write(connection)
            except SivoError as error:
                if error.code != "UNAVAILABLE" or pause is None:
                    raise
            await asyncio.sleep(pause)
        raise AssertionError("the last try returns or raises")

    async def _send(self, job: Claimed, url: str, secret: Secret, timeout_ms: int) -> Outcome:
        """One request; every failure becomes an outcome. URL, secret and time-out are those of this moment."""
        began = asyncio.get_running_loop().time()

        def took() -> int:
            return round((asyncio.get_running_loop().time() - began) * 1000)

        try:
            answer = await self._client.request(
                "POST",
                url,
                data=job.body,
                headers=engine.headers(job.event_id, job.type, secret.value, job.body, secret.previous),
                limits=Limits(total=timeout_ms / 1000, connect=timeout_ms / 1000, max_bytes=_MAX_ANSWER),
            )
        except SivoError as error:
            return Outcome(None, f"{error.code}: {error.message}", took())
        if 200 <= answer.status < 300:
            return Outcome(answer.status, None, took())
        return Outcome(answer.status, f"the endpoint answered {answer.status}", took())

    async def _target(self, job: Claimed) -> tuple[str, Secret, int]:
        async with self._database.tenant(job.tenant_id) as connection:
            found = (await state.resources_by_id(connection, job.tenant_id, [job.endpoint_id])).get(job.endpoint_id)
            if found is None or not found.body["active"]:
                raise _EndpointGoneError
            off = await health.disabled(connection, [job.endpoint_id])
            if off and job.type != WEBHOOK_TEST:
                raise _EndpointFailedError(off[job.endpoint_id])
            timeout_ms = found.body.get("timeout_ms")
            if timeout_ms is None:
                timeout_ms = await key_value(connection, self._settings, job.tenant_id, TIMEOUT_KEY)
        # Outside the scope: the vault may need a connection of its own, and many holding one while they wait for a
        # second would be a deadlock of the pool.
        name = WEBHOOK_ENDPOINT.vault_name(job.endpoint_id, found.body, "secret")
        secret = await self._vault.get_secret(job.tenant_id, name)
        if secret is None:
            raise _EndpointGoneError
        self._vault.uses.note(job.tenant_id, name)
        return found.body["url"], secret, timeout_ms


async def _note(connection: Connection, job: Claimed, step: Step, outcome: Outcome, now: datetime) -> bool:
    """Write an attempt down and what it says about its endpoint; True when that is switched off for it."""
    if not await deliveries.finish(connection, job, step, outcome, now):
        return False
    return await health.note(connection, job.tenant_id, job.endpoint_id, outcome, now)
