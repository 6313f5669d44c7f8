"""UDP sockets of legs and the share of the port range that a media process may use."""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from collections.abc import Callable

from sivo.base.errors import SivoError, register
from sivo.media.latch import Address

MEDIA_NO_PORT = register("MEDIA_NO_PORT", 503)
#: DSCP "expedited forwarding" (RFC 4594 §4.1) in the upper six bits.
_TOS_EF = 0xB8
#: Datagrams taken in one turn of the loop, so that one flooded port cannot hold the others.
_BATCH = 32
_BIGGEST = 2048

Receive = Callable[[bytes, Address, float], None]


class PortPool:
    """Even ports (RFC 3550 §11) of one process: an equal share of ``first`` to ``last``, used in turn.

    A port that was freed is used again as late as possible, so that late packets of an old call meet nobody.
    """

    def __init__(self, first: int, last: int, index: int = 0, shares: int = 1) -> None:
        even = range(first + (first & 1), last, 2)  # the odd port above each is its RTCP's
        size = len(even) // shares
        self._ports = even[index * size : (index + 1) * size]
        if not self._ports:
            raise SivoError(
                "VALIDATION_FAILED",
                f"ports {first} to {last} are too few for {shares} media processes",
                where="SIVO_RTP_PORT_MIN",
                remedy="widen SIVO_RTP_PORT_MIN … SIVO_RTP_PORT_MAX; a call takes two even ports",
            )
        self._next = 0

    def bind(self, host: str) -> tuple[socket.socket, socket.socket]:
        """Two bound, non-blocking UDP sockets: RTP on an even port, RTCP on the next one. ``SivoError``
        ``MEDIA_NO_PORT`` when all are taken, ``VALIDATION_FAILED`` for an address that is not this machine's."""
        for _ in range(len(self._ports)):
            port = self._ports[self._next]
            self._next = (self._next + 1) % len(self._ports)
            rtp = _bound(host, port)
            if rtp is None:
                continue
            control = _bound(host, port + 1)
            if control is not None:
                return rtp, control
            rtp.close()
        raise SivoError(
            MEDIA_NO_PORT,
            f"all {len(self._ports)} RTP ports of this media process are taken",
            where="SIVO_RTP_PORT_MIN",
            remedy="widen the RTP port range or run more media processes",
        )


def _bound(host: str, port: int) -> socket.socket | None:
    """A socket on that port; None when it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise SivoError(
            "VALIDATION_FAILED", f"no RTP port can be opened on {host}: {error.strerror}", where="host"
        ) from error
    _mark(sock, family)
    return sock


def _mark(sock: socket.socket, family: socket.AddressFamily) -> None:
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, _TOS_EF)
        else:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, _TOS_EF)
    except OSError:
        return  # a sandbox may forbid it; the packets flow without the mark


class RtpSocket:
    """One bound port: hands datagrams to ``receive(data, (host, port), arrived_at)`` and sends without waiting."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket, receive: Receive) -> None:
        self._loop = loop
        self._sock = sock
        self._receive = receive
        self.port: int = sock.getsockname()[1]
        loop.add_reader(sock.fileno(), self._readable)

    def send(self, data: bytes, destination: Address) -> bool:
        """Send now or not at all; False when the system refused (full buffer, no route)."""
        try:
            self._sock.sendto(data, destination)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Free the port."""
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()

    def _readable(self) -> None:
        now = time.monotonic()
        for _ in range(_BATCH):
            try:
                data, source = self._sock.recvfrom(_BIGGEST)
            except OSError:
                return  # drained, or a stale ICMP error
            self._receive(data, (source[0], source[1]), now)
