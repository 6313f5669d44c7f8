"""A transaction layer on a virtual clock: what happens, and exactly when."""

from __future__ import annotations

from collections.abc import Iterable

from sivo.sip import NameAddr, Peer, Request, Response, Timers, TransactionLayer, Uri, new_request, parse
from sivo.sip.transactions import Output, Received, Send

PHONE = Peer("192.0.2.10", 5062)
US = Peer("192.0.2.1", 5060)


def request_bytes(
    method: str = "INVITE",
    *,
    branch: str = "z9hG4bKphone",
    cseq: int = 1,
    to_tag: str = "",
    from_tag: str = "caller",
    call_id: str = "call-1",
    transport: str = "UDP",
    extra: Iterable[str] = (),
    uri: str = "sip:100@192.0.2.1",
    cseq_method: str | None = None,
) -> bytes:
    """A request as a phone at PHONE sends it."""
    lines = [
        f"{method} {uri} SIP/2.0",
        f"Via: SIP/2.0/{transport} 192.0.2.10:5062;branch={branch}",
        "Max-Forwards: 70",
        f"From: <sip:200@t1.example>;tag={from_tag}",
        "To: <sip:100@t1.example>" + (f";tag={to_tag}" if to_tag else ""),
        f"Call-ID: {call_id}",
        f"CSeq: {cseq} {cseq_method or method}",
        "Contact: <sip:200@192.0.2.10:5062>",
        *extra,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def our_request(method: str = "INVITE") -> Request:
    to = Uri.parse("sip:200@192.0.2.10:5062")
    return new_request(
        method,
        to,
        from_=NameAddr(uri=Uri.parse("sip:100@t1.example")),
        to=NameAddr(uri=to),
        contact="<sip:100@192.0.2.1:5060>",
    )


def answer_bytes(request: Request, status: int, to_tag: str = "callee", extra: Iterable[str] = ()) -> bytes:
    """An answer as a phone sends it to our ``request`` (with its Via)."""
    lines = [
        f"SIP/2.0 {status} Reason",
        f"Via: {request.headers.get('Via')}",
        f"From: {request.headers.get('From')}",
        f"To: {request.headers.get('To')}" + (f";tag={to_tag}" if to_tag and status > 100 else ""),
        f"Call-ID: {request.call_id}",
        f"CSeq: {request.headers.get('CSeq')}",
        "Contact: <sip:200@192.0.2.10:5062>",
        *extra,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class Bench:
    """Feeds a layer and keeps what comes out with its time."""

    def __init__(self, timers: Timers | None = None, max_transactions: int = 1000) -> None:
        self.now = 0.0
        self.refuse: set[str] = set()
        self.asked: list[Request] = []
        self.layer = TransactionLayer(
            accept=self._accept, sent_by=lambda _: (US.host, US.port), timers=timers, max_transactions=max_transactions
        )
        self.log: list[tuple[float, Output]] = []

    def _accept(self, request: Request, source: Peer) -> bool:
        self.asked.append(request)
        return source.host not in self.refuse

    def note(self, outputs: list[Output]) -> list[Output]:
        """Keep and return outputs, without the ladder's."""
        shown = [output for output in outputs if not isinstance(output, Received)]
        self.log += [(round(self.now, 6), output) for output in shown]
        return shown

    def receive(self, data: bytes, source: Peer = PHONE) -> list[Output]:
        return self.note(self.layer.receive(data, source, US, self.now))

    def respond(self, txn: object, response: Response) -> list[Output]:
        return self.note(self.layer.respond(txn, response, self.now))  # type: ignore[arg-type]

    def run_to(self, until: float) -> None:
        """Let time pass, waking the layer exactly when it asks for it."""
        while (at := self.layer.next_timer()) is not None and at <= until:
            assert at >= self.now, "the layer asked to be woken in the past"
            self.now = at
            self.note(self.layer.poll(self.now))
        self.now = until

    def sent(self, what: str, since: float = -1.0) -> list[float]:
        """The times at which a message whose first line contains ``what`` was sent."""
        return [
            at
            for at, output in self.log
            if isinstance(output, Send) and what in output.message.start_line and at > since
        ]

    def times(self, kind: type) -> list[float]:
        return [at for at, output in self.log if isinstance(output, kind)]


def only(outputs: list[Output], kind: type) -> object:
    """The one output of this kind."""
    found = [output for output in outputs if isinstance(output, kind)]
    assert len(found) == 1, outputs
    return found[0]


def read(output: object) -> Request | Response:
    """What a Send puts on the wire, read back."""
    assert isinstance(output, Send)
    return parse(output.data)
