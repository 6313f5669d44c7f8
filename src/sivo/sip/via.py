"""Via (RFC 3261 §20.42) with received and rport (RFC 3581)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from sivo.sip.errors import SipParseError
from sivo.sip.grammar import format_params, parse_params
from sivo.sip.peer import DEFAULT_PORT, DEFAULT_TLS_PORT, Peer, bracketed, unbracketed
from sivo.sip.uri import parse_hostport

MAGIC_COOKIE = "z9hG4bK"
_SENT_PROTOCOL = re.compile(r"\s*SIP\s*/\s*2\.0\s*/\s*([A-Za-z0-9\-]+)\s+(.+)\Z", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Via:
    """One hop: transport, sent-by and parameters. ``rport`` without a value is None in ``params``."""

    transport: str
    host: str
    port: int | None = None
    params: Mapping[str, str | None] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Via:
        """Read one Via value; raises SipParseError."""
        return _cached(text) if len(text) <= 256 else _parse(text)

    @property
    def branch(self) -> str:
        """The branch parameter, or an empty string (RFC 2543 peers)."""
        return self.params.get("branch") or ""

    @property
    def sent_by(self) -> str:
        """Host in lower case and port (with its default), as transactions are matched by it (§17.2.3)."""
        return f"{self.host.lower()}:{self.port or self._default_port()}"

    def seen_from(self, source: Peer) -> Via:
        """This Via as the server stores it: ``received`` and a filled ``rport`` where they are due (§18.2.1)."""
        params = dict(self.params)
        if "rport" in params:
            params["rport"] = str(source.port)
        if "rport" in params or unbracketed(self.host) != source.host:
            params["received"] = source.host
        return Via(self.transport, self.host, self.port, params)

    def answer_to(self, source: Peer) -> Peer:
        """Where responses go: always back to the source address, to its port if ``rport`` asked for it (§18.2.2)."""
        if source.transport != "UDP":
            return source
        port = source.port if "rport" in self.params else self.port or self._default_port()
        return Peer(source.host, port, source.transport, source.flow)

    def _default_port(self) -> int:
        return DEFAULT_TLS_PORT if self.transport == "TLS" else DEFAULT_PORT

    def __str__(self) -> str:
        port = "" if self.port is None else f":{self.port}"
        return f"SIP/2.0/{self.transport} {bracketed(self.host)}{port}{format_params(self.params)}"


def _parse(text: str) -> Via:
    sent_by, _, tail = text.partition(";")
    transport, host, port = _hop(sent_by) if len(sent_by) <= 256 else _read_hop(sent_by)
    return Via(transport, host, port, parse_params(tail, "Via"))


def _read_hop(text: str) -> tuple[str, str, int | None]:
    match = _SENT_PROTOCOL.match(text)
    if match is None:
        raise SipParseError(f"{text[:40]!r} does not start with SIP/2.0/transport", "Via")
    return (match.group(1).upper(), *parse_hostport(match.group(2), "Via"))


#: What stands before the parameters is the same in all messages of a peer.
_hop = lru_cache(maxsize=1024)(_read_hop)
#: Every message asks for its top Via several times.
_cached = lru_cache(maxsize=1024)(_parse)
