"""Symmetric RTP (RFC 4961): find out where a peer really sends from, once, and then hear nobody else.

A peer's SDP names an address; behind NAT or on a moved port the packets come from another one. The first valid packet
from an acceptable source decides. Every later source is a stranger: it is neither heard nor answered, so that nobody
who guesses a port can speak into a call ("RTP bleed"). One is more than acceptable: the very address and port that the
SDP names. It takes the place of another that happened to be first, a phone that still sends to the port's last call for
example.
"""

from __future__ import annotations

Address = tuple[str, int]


class Latch:
    """Source check and destination of one leg."""

    def __init__(self) -> None:
        self._negotiated: Address | None = None
        self._any_host = False
        self._latched: Address | None = None
        self.strangers = 0

    @property
    def latched(self) -> Address | None:
        """Source that was latched onto, None before the first packet."""
        return self._latched

    @property
    def destination(self) -> Address | None:
        """Where to send: the latched source, before that the negotiated address; None when neither is known."""
        return self._latched or self._negotiated

    def negotiate(self, host: str, port: int, any_host: bool = False) -> None:
        """Take the address from the peer's SDP. ``any_host`` = the peer is behind NAT, its own address means nothing.

        The same address again keeps the latch (a re-INVITE that changes nothing); another one opens it anew.
        """
        if (host, port) == self._negotiated and any_host == self._any_host:
            return
        self._negotiated = (host, port)
        self._any_host = any_host
        self._latched = None

    def accept(self, source: Address) -> bool:
        """Whether a valid RTP packet from ``source`` is to be heard; latches onto the first that is."""
        if source == self._latched:
            return True
        if source == self._negotiated and not self._any_host:
            self._latched = source
            return True
        if (
            self._latched is None
            and self._negotiated is not None
            and (self._any_host or source[0] == self._negotiated[0])
        ):
            self._latched = source
            return True
        self.strangers += 1
        return False
