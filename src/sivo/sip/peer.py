"""Where SIP messages come from and go to."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import NamedTuple

DEFAULT_PORT = 5060
DEFAULT_TLS_PORT = 5061


class Peer(NamedTuple):
    """Address of the other side of one hop.

    ``flow`` names the connection for stream transports (answers go back on it); it is empty for UDP.
    """

    host: str
    port: int
    transport: str = "UDP"
    flow: str = ""

    def __str__(self) -> str:
        return _written(self)


@lru_cache(maxsize=1024)
def _written(peer: Peer) -> str:
    return f"{peer.transport.lower()}:{bracketed(peer.host)}:{peer.port}"


def bracketed(host: str) -> str:
    """``host`` as it stands in URIs and Via: IPv6 literals in brackets."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def unbracketed(host: str) -> str:
    """``host`` as sockets want it."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


@lru_cache(maxsize=1024)
def is_ip(host: str) -> bool:
    """Whether ``host`` is an IPv4 or IPv6 literal (brackets allowed)."""
    try:
        ipaddress.ip_address(unbracketed(host))
    except ValueError:
        return False
    return True
