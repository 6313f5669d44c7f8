"""From an INVITE that may come in to a call: route, pinned configuration, first decisions, rows."""

from __future__ import annotations

from dataclasses import replace

from sivo.base import logs
from sivo.base.ids import uuid7
from sivo.base.node import node_id
from sivo.calls import inputs as ev
from sivo.calls.call import Call, Capture
from sivo.calls.caller_leg import CallerLeg
from sivo.calls.capture import basis, decide
from sivo.calls.effects import Effects
from sivo.calls.exchange import Exchange
from sivo.calls.inputs import Input
from sivo.calls.rows import CallRow
from sivo.calls.services import Services
from sivo.calls.state import RETRY_AFTER
from sivo.calls.writer import CallWriter
from sivo.config.snapshot import Snapshot
from sivo.routing import decide as routing
from sivo.routing.decide import Refuse, RouteDecision, ToAgent, ToExtension, ToTrunk
from sivo.routing.directory import Did, Extension, Tenant, Trunk
from sivo.routing.targets import agent_of
from sivo.sip.peer import Peer
from sivo.sip.sdes import SrtpPolicy
from sivo.sip.transactions import ServerTransaction

NOT_ACCEPTABLE = Refuse(488, "Not Acceptable Here", "INCOMPATIBLE_DESTINATION")


FUSE_BLOWN = Refuse(503, "Service Unavailable", "outbound_fuse")
log = logs.get("calls")


class Setup:
    """Makes calls."""

    def __init__(self, services: Services, exchange: Exchange, effects: Effects) -> None:
        self._s = services
        self._node = node_id(services.settings)
        self._exchange = exchange
        self._effects = effects
        self.closed = False

    def from_extension(self, txn: ServerTransaction, source: Peer, tenant: Tenant, caller: Extension) -> None:
        """An authenticated phone calls."""
        now = self._s.clock.now()
        route = routing.from_extension(self._s.directory.current, caller, txn.request.uri.user or "", now)
        if isinstance(route.target, ToTrunk):
            route = self._fused(tenant, route)
        name = caller.name or txn.request.from_.display
        self._begin(txn, source, tenant, route, name, caller)

    def _fused(self, tenant: Tenant, route: RouteDecision) -> RouteDecision:
        """The route, or its refusal when the tenant's fuse against toll fraud has blown."""
        calls = [call for call in self._exchange.calls if call.tenant.id == tenant.id and not call.ended]
        running = sum(isinstance(call.route.target, ToTrunk) for call in calls)
        picture = self._s.directory.current.pictures.get(tenant.id)
        limits = picture.carrier_limits if picture else None
        blown = self._s.fuse.admit(tenant.id, running, self._s.clock.monotonic(), limits)
        if not blown:
            return route
        log.warning("a call to a carrier is refused", tenant=str(tenant.id), reason=blown)
        return replace(route, target=FUSE_BLOWN, rule="outbound.fuse", reason=blown)

    def from_trunk(self, txn: ServerTransaction, source: Peer, trunk: Trunk, did: Did) -> None:
        """A carrier brings a call for one of its DIDs."""
        directory = self._s.directory.current
        tenant = directory.tenant(trunk.tenant_id)
        if tenant is None:
            self._s.sip.respond(txn, txn.response(404))
            return
        from_ = txn.request.from_
        route = routing.from_trunk(directory, did, trunk, from_.uri.user or "anonymous", self._s.clock.now())
        self._begin(txn, source, tenant, route, from_.display, None)

    def _begin(
        self,
        txn: ServerTransaction,
        source: Peer,
        tenant: Tenant,
        route: RouteDecision,
        name: str,
        extension: Extension | None,
    ) -> None:
        picture = self._s.directory.current.pictures.get(tenant.id)
        if self.closed or self._s.draining.on or picture is None or self._s.directory.too_old:
            self._s.sip.respond(txn, txn.response(503, headers=[("Retry-After", str(RETRY_AFTER))]))
            return
        policy = extension.srtp if extension else SrtpPolicy.OFF
        srtp = self._s.edge.srtp_here(policy, txn.request, source)
        if srtp is None:
            route = replace(route, target=NOT_ACCEPTABLE, rule="srtp.required", reason="the phone offers no SRTP")
        caller = CallerLeg(self._s.sip, txn, source, srtp or SrtpPolicy.OFF)
        agent = route.target.agent if isinstance(route.target, ToAgent) else None
        snapshot = picture.snapshot(route.did, agent)
        config = snapshot.reader()
        people = (extension, None)
        recording, transcription = decide(picture, route.did, people, config.read)
        row = self._row(tenant, route, caller, snapshot)
        call = Call(
            id=row.id,
            tenant=tenant,
            route=route,
            config=config,
            caller=caller,
            caller_name=name,
            caller_extension=extension,
            writer=CallWriter(self._s.recorder, self._s.clock, row, self._node, self._s.figures),
            capture=Capture(recording, transcription, basis=basis(picture, config, people)),
            perform=self._effects.perform,
            agent=agent,
        )
        later = agent_of(route.target) if agent is None else None
        if later is not None:
            call.fallback = later, picture.snapshot(route.did, later)
        call.writer.created(route, snapshot)
        self._exchange.add(call, txn)
        self._effects.note_caller(call)
        call.post(_first_input(route, caller))

    def _row(self, tenant: Tenant, route: RouteDecision, caller: CallerLeg, snapshot: Snapshot) -> CallRow:
        target = route.target
        return CallRow(
            id=uuid7(),
            tenant_id=tenant.id,
            direction=route.direction,
            from_number=route.from_number,
            to_number=route.to_number,
            created_at=self._s.clock.now(),
            did_id=route.did.id if route.did else None,
            agent_id=target.agent.id if isinstance(target, ToAgent) else None,
            extension_id=target.extension.id if isinstance(target, ToExtension) else None,
            trunk_id=route.trunk.id if route.trunk else None,
            snapshot_hash=snapshot.hash,
            sip_call_id=caller.invite.call_id,
        )


def _first_input(route: RouteDecision, caller: CallerLeg) -> Input:
    match route.target:
        case Refuse(status, phrase, cause):
            return ev.RoutedNowhere(status, phrase, cause)
        case _ if caller.refusal:
            return ev.RoutedNowhere(NOT_ACCEPTABLE.status, NOT_ACCEPTABLE.phrase, NOT_ACCEPTABLE.cause)
        case ToAgent():
            return ev.RoutedToAgent()
        case _:
            return ev.RoutedToCallee()
