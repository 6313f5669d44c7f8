"""A small user agent server on the real transport, for SIPp and baresip to talk to."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket

from sivo.base.clock import SystemClock
from sivo.sip import (
    ClientTransaction,
    Dialog,
    DialogId,
    DigestServer,
    LadderEntry,
    LocalSession,
    Peer,
    Request,
    Response,
    ServerTransaction,
    SessionDescription,
    SipUdp,
    Timers,
    dialog_id_of,
    ha1,
)

REALM = "t1.example"
_range = list(range(32500, 32990, 10))
_start = os.getpid() % len(_range)  # test processes side by side begin at different places
_ports = itertools.cycle(_range[_start:] + _range[:_start])


def free_port() -> int:
    """A UDP port of this room's range whose nine followers are free by convention (RTP of SIPp and baresip)."""
    for _ in _range:
        port = next(_ports)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no free port between 32500 and 32990")


class SmallUas:
    """Answers INVITE with 180 and (unless ``ring_only``) 200, registers account 100 of t1.example, echoes nothing."""

    def __init__(self, *, ring_only: bool = False, timers: Timers | None = None) -> None:
        self.clock = SystemClock()
        self.ladder: list[LadderEntry] = []
        self.sip = SipUdp(self, self.clock, timers=timers, tap=self.ladder.append)
        self.ring_only = ring_only
        self.digest = DigestServer(b"a secret of sixteen bytes or more")
        self.dialogs: dict[DialogId, Dialog] = {}
        self.refused_hosts: set[str] = set()
        self.acks = 0
        self.cancels = 0
        self.byes = 0
        self.ack_timeouts = 0
        self.registered: list[str] = []
        self.responses: list[tuple[ClientTransaction, Response]] = []

    async def __aenter__(self) -> SmallUas:
        await self.sip.start("127.0.0.1", free_port())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.sip.close()

    @property
    def port(self) -> int:
        return self.sip.local.port

    def received(self, method: str) -> int:
        """How many ``method`` requests came, repetitions included."""
        return sum(e.direction == "in" and e.first_line.startswith(f"{method} ") for e in self.ladder)

    def accept(self, request: Request, source: Peer) -> bool:
        return source.host not in self.refused_hosts

    def on_request(self, txn: ServerTransaction, request: Request, source: Peer) -> None:
        handler = {"INVITE": self._invite, "BYE": self._bye, "REGISTER": self._register}.get(request.method)
        if handler is None:
            self.sip.respond(txn, txn.response(200 if request.method == "OPTIONS" else 405))
        else:
            handler(txn, request, source)

    def _invite(self, txn: ServerTransaction, request: Request, source: Peer) -> None:
        host, port = self.sip.contact_for(source)
        contact = ("Contact", f"<sip:uas@{host}:{port}>")
        self.sip.respond(txn, txn.response(180, headers=[contact]))
        if self.ring_only:
            return
        body, _ = LocalSession(host).answer(SessionDescription.parse(request.body), 32990)
        ok = txn.response(200, headers=[contact], body=body)
        dialog = Dialog.uas(request, ok, source)
        self.dialogs[dialog.id] = dialog
        self.sip.respond(txn, ok)

    def _bye(self, txn: ServerTransaction, request: Request, source: Peer) -> None:
        dialog = self.dialogs.pop(dialog_id_of(request), None)
        self.byes += dialog is not None
        self.sip.respond(txn, txn.response(200 if dialog else 481))

    def _register(self, txn: ServerTransaction, request: Request, source: Peer) -> None:
        now = self.clock.now().timestamp()
        verdict = self.digest.verify(
            request, REALM, lambda user, alg: ha1(user, REALM, "secret", alg) if user == "100" else None, now
        )
        if not verdict.ok:
            self.sip.respond(txn, self.digest.challenge(txn.response(401), REALM, now, stale=verdict.stale))
            return
        self.registered += [str(contact.uri) for contact in request.contacts]
        self.sip.respond(txn, txn.response(200, headers=[("Contact", c) for c in request.headers.all("Contact")]))

    def on_cancel(self, txn: ServerTransaction, request: Request) -> None:
        self.cancels += 1
        self.sip.respond(txn, txn.response(487))

    def on_ack(self, request: Request, source: Peer) -> None:
        self.acks += 1

    def on_response(self, txn: ClientTransaction, response: Response) -> None:
        self.responses.append((txn, response))

    def on_timeout(self, txn: ClientTransaction) -> None:
        raise AssertionError(f"{txn} timed out")

    def on_ack_timeout(self, txn: ServerTransaction) -> None:
        self.ack_timeouts += 1
        for dialog in list(self.dialogs.values()):
            if dialog.id.call_id == txn.request.call_id:
                self.sip.request(dialog.request("BYE"), dialog.destination)
