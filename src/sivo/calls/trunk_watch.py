"""Are the trunks alive? OPTIONS to each of them, our registrations at their carriers, and both on record."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from uuid import UUID

from sivo.base import logs
from sivo.base.node import node_id
from sivo.calls.records import Write
from sivo.calls.services import Services
from sivo.db.scopes import Connection
from sivo.routing.directory import Trunk
from sivo.sip.address import NameAddr
from sivo.sip.message import Request, Response, new_request
from sivo.sip.registration import Account, Registration, RegistrationState
from sivo.sip.transactions import ClientTransaction
from sivo.sip.udp import Then
from sivo.sip.uri import Uri

#: Seconds between two OPTIONS, and until one counts as unanswered: who goes away is seen within 20 s.
INTERVAL, PATIENCE = 12.0, 8.0
TICK = 0.5
#: Seconds after which an unchanged state is written again, so that its time is fresh.
FRESHEN = 60.0
log = logs.get("calls")


@dataclass(slots=True)
class _Watched:
    """One trunk as this node sees it."""

    trunk: Trunk
    registration: Registration | None = None
    health: str = "unknown"
    reason: str = ""
    round_trip_ms: int | None = None
    checked: float | None = None
    next_ping: float = 0.0
    pinged: float | None = None
    written: tuple[object, ...] = ()
    written_at: float = 0.0

    def summary(self) -> tuple[object, ...]:
        """What makes a new row worth writing."""
        known = self.registration
        return (self.health, self.reason, known.state if known else None, known.reason if known else "")


class TrunkWatch:
    """Watches all trunks of all tenants that have a host to call."""

    def __init__(self, services: Services) -> None:
        self._s = services
        self._node = node_id(services.settings)
        self._watched: dict[UUID, _Watched] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run(), name="trunk-watch")

    async def stop(self) -> None:
        """Take our registrations back and stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for one in self._watched.values():
            # At an edge the nodes share one place: what one took back, the others would miss.
            if self._s.edge.peer is not None:
                continue
            if one.registration is not None and one.registration.state is RegistrationState.REGISTERED:
                self._ask(one, one.registration.request(end=True), _nothing)

    def is_up(self, trunk_id: UUID) -> bool:
        """Whether calls may be sent there: not known to be down."""
        one = self._watched.get(trunk_id)
        return one is None or one.health != "down"

    async def _run(self) -> None:
        while True:
            try:
                self._look()
            except Exception:
                log.exception("trunks could not be looked after")
            await asyncio.sleep(TICK)

    def _look(self) -> None:
        now = self._s.clock.monotonic()
        self._learn(now)
        for one in self._watched.values():
            if one.pinged is not None and now - one.pinged > PATIENCE:
                self._pinged(one, one.pinged, None)
            if one.pinged is None and now >= one.next_ping:
                self._ping(one, now)
            if one.registration is not None and now >= one.registration.due:
                self._register(one, one.registration.request())
            if one.summary() != one.written or now - one.written_at > FRESHEN:
                self._write(one, now)

    def _learn(self, now: float) -> None:
        current = {t.id: t for p in self._s.directory.current.pictures.values() for t in p.trunks if t.host}
        for trunk_id in self._watched.keys() - current.keys():
            del self._watched[trunk_id]
        for trunk_id, trunk in current.items():
            known = self._watched.get(trunk_id)
            if known is None or known.trunk != trunk:
                self._watched[trunk_id] = _Watched(trunk, self._registration(trunk, now), next_ping=now)

    def _registration(self, trunk: Trunk, now: float) -> Registration | None:
        if not (trunk.register and trunk.username and trunk.password):
            return None
        account = Account(trunk.host, trunk.username, trunk.password, trunk.port)
        uri = Uri.parse(self._s.sip.contact_uri(trunk.peer)).replace(user=trunk.username)
        return Registration(account, f"<{uri}>", now)

    def health(self) -> Counter[str]:
        """How many trunks there are of each health."""
        return Counter(one.health for one in self._watched.values())

    # --- OPTIONS ---

    def _ping(self, one: _Watched, now: float) -> None:
        trunk = one.trunk
        to = NameAddr(uri=Uri("sip", None, trunk.host, trunk.port))
        from_ = NameAddr(uri=Uri("sip", "ping", self._s.sip.contact_for(trunk.peer)[0]))
        one.pinged, one.next_ping = now, now + INTERVAL
        contact = f"<{self._s.sip.contact_uri(trunk.peer)}>"
        request = new_request("OPTIONS", to.uri, from_=from_, to=to, contact=contact)
        self._ask(one, request, lambda txn, response: self._pinged(one, now, response))

    def _pinged(self, one: _Watched, sent: float, response: Response | None) -> None:
        """Any answer shows that somebody is there; 503 says that he does not want calls, 408 comes from a proxy."""
        if one.pinged != sent:
            return  # too late: it counted as unanswered
        now = self._s.clock.monotonic()
        one.pinged, one.checked = None, now
        before = one.health
        if response is None:
            one.health, one.reason, one.round_trip_ms = "down", "no answer to OPTIONS", None
        else:
            down = response.status in (408, 480, 503)
            one.health = "down" if down else "up"
            one.reason = f"{response.status} {response.reason}".strip()[:200]
            one.round_trip_ms = round((now - sent) * 1000)
        if before != one.health:
            log.warning("a trunk changed", tenant=str(one.trunk.tenant_id), trunk=one.trunk.name, health=one.health)

    # --- REGISTER ---

    def _register(self, one: _Watched, request: Request) -> None:
        self._ask(one, request, partial(self._registered, one))

    def _registered(self, one: _Watched, txn: ClientTransaction, response: Response | None) -> None:
        if one.registration is None or self._watched.get(one.trunk.id) is not one:
            return
        again = one.registration.answered(txn.request, response, self._s.clock.monotonic())
        if again is not None:
            self._register(one, again)

    def _ask(self, one: _Watched, request: Request, then: Then) -> None:
        for name, value in self._s.edge.headers:
            request.headers.set(name, value)
        self._s.sip.ask(request, self._s.edge.peer or one.trunk.peer, then)

    # --- on record ---

    def _write(self, one: _Watched, now: float) -> None:
        one.written, one.written_at = one.summary(), now
        wall = self._s.clock.now()
        checked = wall - timedelta(seconds=now - one.checked) if one.checked is not None else None
        known = one.registration
        until = wall + timedelta(seconds=known.until - now) if known and known.until is not None else None
        row = (
            one.trunk.id, one.trunk.tenant_id, self._node, one.health, one.reason, one.round_trip_ms, checked,
            str(known.state) if known else "none", known.reason if known else "", until,
        )  # fmt: skip

        async def write(conn: Connection) -> None:
            await conn.execute(
                """insert into trunk_state (trunk_id, tenant_id, node, health, reason, round_trip_ms, checked_at,
                                            registration, registration_reason, registered_until)
                   values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
                   on conflict (trunk_id) do update set node = excluded.node, health = excluded.health,
                     reason = excluded.reason, round_trip_ms = excluded.round_trip_ms,
                     checked_at = excluded.checked_at, registration = excluded.registration,
                     registration_reason = excluded.registration_reason,
                     registered_until = excluded.registered_until""",
                *row,
            )

        self._s.recorder.put(Write(one.trunk.tenant_id, one.trunk.id, write))


def _nothing(txn: ClientTransaction, response: Response | None) -> None:
    """We are leaving: nobody waits for the answer."""
