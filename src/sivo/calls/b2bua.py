"""Hands every SIP message to its call, and makes calls out of new INVITEs.

This is the transaction user of the SIP transport. It decides nothing about a call: the gate says who speaks, routing
who answers, the call's machine what happens.
"""

from __future__ import annotations

import asyncio

from sivo.base import logs
from sivo.base.errors import SivoError
from sivo.calls import inputs as ev
from sivo.calls import keys
from sivo.calls.call import Call
from sivo.calls.caller_leg import CallerLeg
from sivo.calls.effects import Effects
from sivo.calls.exchange import Exchange
from sivo.calls.gate import Authenticated, Challenge, Gate
from sivo.calls.legs import ALLOW, Leg, unsupported, warning
from sivo.calls.media_session import CALLER
from sivo.calls.registering import Registering
from sivo.calls.services import Services
from sivo.calls.setup import Setup
from sivo.calls.state import RETRY_AFTER
from sivo.routing import sources
from sivo.sip.dialog import dialog_id_of
from sivo.sip.errors import NotAcceptable, OutOfOrder, SipParseError
from sivo.sip.message import Request, Response
from sivo.sip.peer import Peer
from sivo.sip.pending import Pending
from sivo.sip.session_timer import MINIMUM
from sivo.sip.transactions import ClientTransaction, ServerTransaction

log = logs.get("calls")


class B2bua:
    """Transaction user of the SIP transport (see :class:`sivo.sip.udp.TransactionUser`)."""

    def __init__(
        self,
        services: Services,
        gate: Gate,
        setup: Setup,
        registering: Registering,
        exchange: Exchange,
        effects: Effects,
    ) -> None:
        self._s = services
        self._gate = gate
        self._setup = setup
        self._registering = registering
        self._exchange = exchange
        self._effects = effects
        #: New calls that wait for the database's answer (see :meth:`LiveDirectory.ask`).
        self._asking: set[asyncio.Task[None]] = set()

    # --- TransactionUser ---

    def accept(self, request: Request, source: Peer) -> bool:
        """Heard are requests in our dialogs, from our tenants' domains and from our trunks' addresses."""
        if request.to.tag and self._exchange.by_dialog(dialog_id_of(request)) is not None:
            return True
        return self._gate.hears(request, source, self._s.clock.now().timestamp())

    def on_request(self, txn: ServerTransaction, request: Request, source: Peer) -> None:
        """A new request."""
        refusal = unsupported(txn)
        if refusal is not None:
            self._s.sip.respond(txn, refusal)
            return
        directory = self._s.directory
        if request.method == "INVITE" and not request.to.tag and not directory.told and not directory.gone:
            # Nobody tells this process of changes now, so it asks before the call is routed.
            asking = asyncio.create_task(self._when_asked(txn, request, source))
            self._asking.add(asking)
            asking.add_done_callback(self._asking.discard)
            return
        self._take(txn, request, source)

    async def _when_asked(self, txn: ServerTransaction, request: Request, source: Peer) -> None:
        await self._s.directory.ask()
        if txn.final is None:  # not cancelled meanwhile
            self._take(txn, request, source)

    def _take(self, txn: ServerTransaction, request: Request, source: Peer) -> None:
        try:
            if request.to.tag:
                self._in_dialog(txn, request)
            else:
                self._outside(txn, request, source)
        except SipParseError as error:
            if txn.final is None:
                least = [("Min-SE", str(MINIMUM))] if error.sip_status == 422 else []
                self._s.sip.respond(txn, txn.response(error.sip_status, headers=least))
        except NotAcceptable as error:
            self._s.sip.respond(txn, txn.response(488, headers=warning(error.message)))

    def on_cancel(self, txn: ServerTransaction, request: Request) -> None:
        """The caller does not want to wait any more."""
        call = self._exchange.by_invite(txn)
        if call is not None:
            call.post(ev.CallerCancelled())
        if txn.final is None:
            self._s.sip.respond(txn, txn.response(487))

    def on_ack(self, request: Request, source: Peer) -> None:
        """The ACK of a 200 of ours: of the caller's INVITE, or of somebody's re-INVITE."""
        found = self._exchange.by_dialog(dialog_id_of(request))
        if found is None:
            return
        call, leg = found
        try:
            stream = leg.take_ack(request) if isinstance(leg, CallerLeg) else leg.late_answer(request)
        except SivoError as error:
            ids = {"tenant": str(call.tenant.id), "call": str(call.id)}
            log.warning("the answer in an ACK cannot be taken", **ids, error=str(error))
            stream = None
        if stream is not None and call.media is not None:
            call.media.set_remote(call.place_of(leg) or CALLER, stream, leg.peer)
        if leg is call.caller:
            call.post(ev.CallerAcked())

    def on_response(self, txn: ClientTransaction, response: Response) -> None:
        """An answer to an INVITE of ours matters; those to BYE and OPTIONS do not."""
        found = self._exchange.by_client(txn)
        if found is None:
            return
        call, branch = found
        fork = call.fork_of(branch)
        if fork is not None:
            with logs.about(call.tenant.id, call.id):
                fork.on_response(branch, response)
        if branch.txn is not None and branch.txn is not txn:
            self._exchange.learn(call, branch)
            call.writer.pending(branch.id, Pending.sent(branch.txn).dump())
        elif response.status >= 300 and not call.ended:
            call.writer.pending(branch.id, None)

    def on_timeout(self, txn: ClientTransaction) -> None:
        """Nobody answered a request of ours."""
        found = self._exchange.by_client(txn)
        if found is not None:
            call, branch = found
            fork = call.fork_of(branch)
            if fork is not None:
                fork.on_timeout(branch)

    def on_ack_timeout(self, txn: ServerTransaction) -> None:
        """Nobody acknowledged a 200 of ours."""
        call = self._exchange.by_invite(txn)
        if call is not None:
            call.caller.ack_missing()
            call.post(ev.CallerAckMissing())

    # --- outside dialogs ---

    def _outside(self, txn: ServerTransaction, request: Request, source: Peer) -> None:
        origin = self._gate.classify(request, source)
        if request.max_forwards == 0:
            self._s.sip.respond(txn, txn.response(483))
            return
        match origin:
            case sources.FromTenant():
                self._from_tenant(txn, request, source, origin)
            case sources.FromTrunk(trunk, did):
                self._setup.from_trunk(txn, source, trunk, did)
            case sources.TrunkPing():
                self._alive(txn, takes_calls=not self._s.draining.on)
            case sources.EdgePing():
                self._alive(txn, takes_calls=self._s.takes_calls)
            case sources.UnknownDid():
                self._s.sip.respond(txn, txn.response(404))
            case sources.Stranger():
                pass

    def _alive(self, txn: ServerTransaction, *, takes_calls: bool) -> None:
        """The answer to OPTIONS of who would bring us calls: 200, or 503 when it had better bring them elsewhere."""
        later = txn.response(503, headers=[("Retry-After", str(RETRY_AFTER))])
        self._s.sip.respond(txn, txn.response(200, headers=[("Allow", ALLOW)]) if takes_calls else later)

    def _from_tenant(self, txn: ServerTransaction, request: Request, source: Peer, claimed: sources.FromTenant) -> None:
        now = self._s.clock.now().timestamp()
        verdict = self._gate.authenticate(request, claimed, source, now)
        if isinstance(verdict, Challenge):
            self._s.sip.respond(txn, self._gate.challenge(txn, verdict, now))
            return
        if not isinstance(verdict, Authenticated):
            self._s.sip.respond(txn, txn.response(403))
            return
        match request.method:
            case "REGISTER":
                self._registering.register(txn, verdict, source)
            case "INVITE" if "Replaces" in request.headers:
                self._effects.replacing.invite(txn, source, claimed.tenant, verdict.extension)
            case "INVITE":
                self._setup.from_extension(txn, source, claimed.tenant, verdict.extension)
            case "OPTIONS":
                self._s.sip.respond(txn, txn.response(200, headers=[("Allow", ALLOW)]))
            case _:
                self._s.sip.respond(txn, txn.response(405, headers=[("Allow", ALLOW)]))

    # --- in dialogs ---

    def _in_dialog(self, txn: ServerTransaction, request: Request) -> None:
        found = self._exchange.by_dialog(dialog_id_of(request))
        if found is None:
            self._s.sip.respond(txn, txn.response(481))
            return
        call, leg = found
        dialog = leg.dialog or leg.early
        assert dialog is not None
        try:
            dialog.receive(request)
        except OutOfOrder:
            self._s.sip.respond(txn, txn.response(500))
            return
        match request.method:
            case "BYE":
                self._bye(txn, call, leg)
            case _ if leg.dialog is None:
                self._s.sip.respond(txn, txn.response(491))
            case "INVITE" | "UPDATE":
                self._renegotiate(txn, call, leg)
            case "REFER":
                self._effects.transfers.refer(call, leg, txn)
            case "INFO":
                self._s.sip.respond(txn, keys.take(call, leg, txn))
            case "OPTIONS":
                self._s.sip.respond(txn, txn.response(200, headers=[("Allow", ALLOW)]))
            case _:
                self._s.sip.respond(txn, txn.response(405, headers=[("Allow", ALLOW)]))

    def _bye(self, txn: ServerTransaction, call: Call, leg: Leg) -> None:
        self._s.sip.respond(txn, txn.response(200))
        if leg.dialog is None:  # not answered yet: as good as a CANCEL (§15.1.2)
            call.post(ev.CallerCancelled())
            return
        leg.ended = True
        side = call.side_of(leg)
        if side is None:
            self._effects.guests.hung_up(call, leg)
        if side is None or self._effects.transfers.hung_up(call, leg):
            return
        call.post(ev.CallerHungUp() if side == CALLER else ev.CalleeHungUp())

    def _renegotiate(self, txn: ServerTransaction, call: Call, leg: Leg) -> None:
        if call.ended or leg.ended:
            self._s.sip.respond(txn, txn.response(481))
            return
        stream = leg.renegotiate(txn)
        if txn.final is None or not txn.final.is_success:
            return
        self._effects.sessions.start(call, leg)
        self._effects.note_dialog(call, leg, stream)
        place = call.place_of(leg)
        if stream is not None and call.media is not None and place is not None:
            call.media.set_remote(place, stream, leg.peer)
