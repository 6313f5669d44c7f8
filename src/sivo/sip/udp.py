"""SIP over UDP: an asyncio socket and one timer around :class:`~sivo.sip.layer.TransactionLayer`."""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, cast

from sivo.base import logs
from sivo.base.clock import Clock
from sivo.sip.ladder import LadderEntry
from sivo.sip.layer import TransactionLayer
from sivo.sip.message import Request, Response
from sivo.sip.peer import Peer, bracketed, is_ip, unbracketed
from sivo.sip.pending import Pending
from sivo.sip.streams import Streams, unmapped
from sivo.sip.transactions import (
    AckTimeout,
    Answer,
    ClientTransaction,
    Dropped,
    Incoming,
    IncomingAck,
    IncomingCancel,
    Output,
    Received,
    Send,
    ServerTransaction,
    Timeout,
    Timers,
)

_WILDCARDS = ("0.0.0.0", "::", "")  # noqa: S104 - recognised, not bound here
#: Receive buffer asked of the kernel: a second of registrations after a power cut.
_RECEIVE_BUFFER = 4 * 1024 * 1024
_DNS_SECONDS = 60.0
#: Timers run out together at most so many seconds late: each call has a dozen, and every one by itself would wake us.
_GRAIN_S = 0.02
_log = logs.get("sip")


#: Gets the transaction with its final answer, or None.
Then = Callable[[ClientTransaction, Response | None], None]


class TransactionUser(Protocol):
    """Who decides. Every method is called in the loop, must not block, and may call the transport at once.

    An exception in a method is logged and counted; the transport goes on, and a request without an answer gets 500.
    """

    def accept(self, request: Request, source: Peer) -> bool:
        """Whether ``source`` is heard at all. False: no reply, no state. Asked once for each new request, before
        anything is stored; in-dialog requests included. The request may be invalid: reading a header may raise
        SipParseError, which counts as False."""
        ...

    def on_request(self, txn: ServerTransaction, request: Request, source: Peer) -> None:
        """A new request, in or out of a dialog (never ACK or CANCEL)."""
        ...

    def on_cancel(self, txn: ServerTransaction, request: Request) -> None:
        """The INVITE of ``txn`` is cancelled and has no final answer yet: answer it with 487."""
        ...

    def on_ack(self, request: Request, source: Peer) -> None:
        """The ACK of a 2xx of ours, once. It may carry the SDP answer to an offer in the 2xx."""
        ...

    def on_response(self, txn: ClientTransaction, response: Response) -> None:
        """An answer to our request. A 2xx to INVITE comes once for each To tag and has to be acknowledged."""
        ...

    def on_timeout(self, txn: ClientTransaction) -> None:
        """Our request was not answered in time."""
        ...

    def on_ack_timeout(self, txn: ServerTransaction) -> None:
        """Our 2xx was not acknowledged within 64 * T1: end the dialog with BYE."""
        ...


class SipUdp(asyncio.DatagramProtocol):
    """The SIP transport of one process: UDP by itself, TCP and TLS through ``streams`` (see :meth:`listen`).

    ``tap`` gets a :class:`LadderEntry` of every message of ours, in and out. ``advertised_host`` goes into Via and
    Contact; empty means the address of the route to each peer. ``statistics`` counts received, sent, repeated,
    dropped.<reason>, handler_errors, send_errors.
    """

    def __init__(
        self,
        user: TransactionUser,
        clock: Clock,
        timers: Timers | None = None,
        tap: Callable[[LadderEntry], None] | None = None,
        advertised_host: str = "",
    ) -> None:
        self._user = user
        self._clock = clock
        self._tap = tap
        self._advertised = advertised_host
        self.layer = TransactionLayer(accept=self._accept, sent_by=self.contact_for, timers=timers)
        self.local = Peer("", 0)
        #: A look at the bytes of a message before it is read: False drops it without a trace.
        self.glance: Callable[[bytes, Peer], bool] | None = None
        self.statistics: Counter[str] = Counter()
        self._transport: asyncio.DatagramTransport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._routes: dict[str, str] = {}
        self._asked: dict[int, tuple[ClientTransaction, Then]] = {}
        self._names: dict[str, tuple[str, float]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = asyncio.Event()
        self.streams = Streams(self._stream_message, self._stream_failed, clock, self.statistics)

    # --- life ---------------------------------------------------------------------------------------------------

    async def start(self, host: str, port: int) -> None:
        """Bind (port 0: any) and listen. Raises OSError if the address is taken."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(unbracketed(host) or "0.0.0.0", port, type=socket.SOCK_DGRAM)  # noqa: S104 - the caller's choice
        family, kind, protocol, _, address = found[0]
        sock = socket.socket(family, kind, protocol)
        try:
            with contextlib.suppress(OSError):  # the kernel's limit stands then
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)  # "::" serves both families
            sock.setblocking(False)
            sock.bind(address)
            await loop.create_datagram_endpoint(lambda: self, sock=sock)
        except BaseException:
            sock.close()
            raise

    async def listen(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        """Serve TCP too, or TLS with a server's ``tls`` context. Raises OSError if the address is taken."""
        await self.streams.listen(host, port, tls)

    async def close(self) -> None:
        """Stop at once: transactions are forgotten, nothing more is sent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for task in list(self._tasks):
            task.cancel()
        await self.streams.close()
        if self._transport is not None:
            self._transport.close()
            await self._closed.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)
        name = transport.get_extra_info("sockname")
        self.local = Peer(name[0], name[1])

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._closed.set()
        if exc is not None:
            _log.error("sip socket lost", error=str(exc))

    def error_received(self, exc: Exception) -> None:
        self.statistics["send_errors"] += 1  # ICMP: no transaction can be told from it, its timer will end it

    # --- what the transaction user calls --------------------------------------------------------------------------

    def respond(self, txn: ServerTransaction, response: Response) -> None:
        """Send an answer. After a final answer others have no effect."""
        self._run(self.layer.respond(txn, response, self._clock.monotonic()))

    def request(self, request: Request, destination: Peer) -> ClientTransaction:
        """Send a request; answers come to ``on_response`` with the transaction that is returned."""
        txn, outputs = self.layer.request(request, destination, self._clock.monotonic())
        self._run(outputs)
        return txn

    def ask(self, request: Request, destination: Peer, then: Then) -> ClientTransaction:
        """Send a request whose final answer goes to ``then`` and not to the transaction user; None: no answer came.

        Each 2xx to an INVITE comes by itself and has to be acknowledged by ``then``.
        """
        txn, outputs = self.layer.request(request, destination, self._clock.monotonic())
        self._asked[id(txn)] = (txn, then)
        self._run(outputs)
        return txn

    def cancel(self, txn: ClientTransaction, reason: str = "") -> None:
        """Cancel our INVITE as soon as that is allowed, with that Reason (RFC 3326); its end comes to ``on_response``
        (487, or a racing 2xx)."""
        self._run(self.layer.cancel(txn, self._clock.monotonic(), reason))

    def withdraw(self, pending: Pending, reason: str, then: Then) -> None:
        """Cancel an INVITE that an earlier process sent. Its end comes to ``then``: 487, a racing 2xx, or None."""
        txn = pending.client(self.layer.timers)
        self.layer.adopt(txn)
        self._asked[id(txn)] = (txn, then)
        self.cancel(txn, reason)

    def take_up(self, pending: Pending) -> ServerTransaction:
        """The transaction of an INVITE that an earlier process got, to be answered with :meth:`respond`."""
        txn = pending.server(self.layer.timers, self.local, self._clock.monotonic())
        self.layer.adopt(txn)
        return txn

    def acknowledge(self, txn: ClientTransaction, ack: Request, destination: Peer) -> None:
        """Send the ACK of a 2xx; repeated by itself when the 2xx comes again."""
        self._run(self.layer.acknowledge(txn, ack, destination))

    def contact_for(self, peer: Peer) -> tuple[str, int]:
        """Our host and port as ``peer`` should see them, for Contact, Via and SDP (host without brackets)."""
        port = self.streams.port(peer.transport) or self.local.port
        if self._advertised:
            return self._advertised, port
        if self.local.host not in _WILDCARDS:
            return self.local.host, port
        known = self._routes.get(peer.host)
        if known is None:
            if len(self._routes) >= 10_000:
                self._routes.clear()
            known = self._routes[peer.host] = _route_to(self._names.get(peer.host, (peer.host, 0.0))[0])
        return known, port

    def contact_uri(self, peer: Peer) -> str:
        """Our Contact as ``peer`` should see it: address, port and transport of the way that it uses."""
        host, port = self.contact_for(peer)
        transport = "" if peer.transport == "UDP" else f";transport={peer.transport.lower()}"
        return f"sip:sivo@{bracketed(host)}:{port}{transport}"

    # --- what the socket and the timer bring ----------------------------------------------------------------------

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        self._receive(data, Peer(unmapped(addr[0]), addr[1]), self.local)

    def _stream_message(self, data: bytes, source: Peer, local: Peer) -> bool:
        return not any(isinstance(output, Dropped) for output in self._receive(data, source, local))

    def _stream_failed(self, peer: Peer) -> None:
        """No connection: whoever waits for an answer from there need not wait any longer (§8.1.3.1, §18.4)."""
        self._run(self.layer.unreachable(peer, self._clock.monotonic()))

    def _receive(self, data: bytes, source: Peer, local: Peer) -> list[Output]:
        self.statistics["received"] += 1
        if self.glance is not None and not self.glance(data, source):
            self.statistics["dropped.unread"] += 1
            return [Dropped("refused", source)]
        try:
            outputs = self.layer.receive(data, source, local, self._clock.monotonic())
        except Exception:
            self.statistics["handler_errors"] += 1
            _log.exception("a message could not be handled", peer=str(source), size=len(data))
            return [Dropped("malformed", source)]
        self._run(outputs)
        return outputs

    def _poll(self) -> None:
        self._timer = None
        try:
            outputs = self.layer.poll(self._clock.monotonic())
        except Exception:
            self.statistics["handler_errors"] += 1
            _log.exception("a sip timer could not be handled")
            outputs = []
        self._run(outputs)

    def _run(self, outputs: list[Output]) -> None:
        for output in outputs:
            if isinstance(output, Send):
                self._send(output)
            elif isinstance(output, Received):
                self._record(output.message, "in", output.source)
            elif isinstance(output, Dropped):
                self.statistics[f"dropped.{output.reason}"] += 1
            else:
                self._tell(output)
        self._arm()

    def _accept(self, request: Request, source: Peer) -> bool:
        return self._user.accept(request, source)

    def _tell(self, output: Output) -> None:
        """Call the transaction user; its errors stay here."""
        try:
            match output:
                case Incoming(request, txn, source):
                    self._user.on_request(txn, request, source)
                case IncomingCancel(request, txn):
                    self._user.on_cancel(txn, request)
                case IncomingAck(request, source, _):
                    self._user.on_ack(request, source)
                case Answer(response, client) if id(client) in self._asked:
                    if response.status >= 200:
                        self._asked.pop(id(client))[1](client, response)
                case Timeout(client) if id(client) in self._asked:
                    self._asked.pop(id(client))[1](client, None)
                case Answer(response, client):
                    self._user.on_response(client, response)
                case Timeout(client):
                    self._user.on_timeout(client)
                case AckTimeout(txn):
                    self._user.on_ack_timeout(txn)
        except Exception:
            self.statistics["handler_errors"] += 1
            _log.exception("a sip handler failed", what=type(output).__name__)
            if isinstance(output, Incoming | IncomingCancel) and output.txn.final is None:
                self.respond(output.txn, output.txn.response(500))

    def _arm(self) -> None:
        """Have one timer, for the earliest deadline. One that runs out before that stays: its poll arms the next."""
        at = self.layer.next_timer()
        if at is None or (self._timer is not None and self._timer_at <= at + _GRAIN_S):
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            self._timer_at = math.ceil(at / _GRAIN_S) * _GRAIN_S
            delay = max(0.0, self._timer_at - self._clock.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self._poll)

    # --- sending --------------------------------------------------------------------------------------------------

    def _send(self, output: Send) -> None:
        self.statistics["repeated" if output.again else "sent"] += 1
        self._record(output.message, "out", output.destination, again=output.again)
        host, port, transport, _ = output.destination
        if transport in ("TCP", "TLS"):
            self.streams.send(output.data, output.destination)
            return
        if is_ip(host):
            self._sendto(output.data, host, port)
            return
        address, until = self._names.get(host, ("", 0.0))
        if until > self._clock.monotonic():
            self._sendto(output.data, address, port)
        else:
            self._spawn(self._resolve_and_send(output.data, host, port))

    def _sendto(self, data: bytes, host: str, port: int) -> None:
        if self._transport is None:
            return
        if ":" in self.local.host and ":" not in host:
            host = f"::ffff:{host}"
        try:
            self._transport.sendto(data, (host, port))
        except (OSError, ValueError) as error:
            self.statistics["send_errors"] += 1
            _log.warning("a sip message could not be sent", peer=f"{bracketed(host)}:{port}", error=str(error))

    async def _resolve_and_send(self, data: bytes, host: str, port: int) -> None:
        """A name (RFC 3263 is not done: addresses only, no SRV); a socket must never wait for DNS in the loop."""
        family = socket.AF_INET6 if ":" in self.local.host else socket.AF_INET
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, family=family, type=socket.SOCK_DGRAM)
        except OSError as error:
            self.statistics["send_errors"] += 1
            _log.warning("a sip peer has no address", peer=host, error=str(error))
            return
        if len(self._names) >= 10_000:
            self._names.clear()
        address = str(found[0][4][0])
        self._names[host] = (address, self._clock.monotonic() + _DNS_SECONDS)
        self._sendto(data, address, port)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _record(self, message: Request | Response, direction: str, peer: Peer, *, again: bool = False) -> None:
        if self._tap is None:
            return
        try:
            self._tap(LadderEntry.of(message, direction, peer, self._clock.now(), again=again))
        except Exception:
            self.statistics["handler_errors"] += 1
            _log.exception("the sip tap failed")


def _route_to(host: str) -> str:
    """The local address the kernel would use towards ``host``; nothing is sent. Loopback if there is no route."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    if not is_ip(host):
        return "127.0.0.1"
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, 9))
            return str(probe.getsockname()[0])
        except OSError:
            return "::1" if family == socket.AF_INET6 else "127.0.0.1"
