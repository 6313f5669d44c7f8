"""Which addresses an outbound request of a tenant may reach.

Whatever a tenant writes into a URL (a name, a literal, a decimal or hexadecimal form, a mapped address), it ends as one
IP address and one port when a socket is made; :class:`Guard` judges that pair. ``ipaddress.is_global`` alone is not
enough: it is true for NAT64, 6to4, site-local and multicast addresses, all of which can lead inside.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from sivo.base.errors import SivoError, register

OUTBOUND_REFUSED = register("OUTBOUND_REFUSED", 422)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: Reserved blocks that ``is_global`` lets through, and services of cloud hosts on public-looking addresses.
_DENIED = tuple(
    ipaddress.ip_network(block)
    for block in (
        "168.63.129.16/32",  # Azure wire server: instance credentials on a public-looking address
        "192.0.0.0/24",  # RFC 6890: protocol assignments; older Pythons know only parts, Oracle metadata is in it
        "192.88.99.0/24",  # RFC 7526: 6to4 relay anycast
        "2001::/23",  # RFC 2928: Teredo (RFC 4380) and other protocol assignments, some with an embedded IPv4 address
        "2001:db8::/32",  # RFC 3849: documentation
        "2002::/16",  # RFC 3056: 6to4, embeds an IPv4 address
        "3fff::/20",  # RFC 9637: documentation
    )
)
#: RFC 4291 §2.4: the only IPv6 block with assigned global unicast addresses. NAT64 (64:ff9b::/96), mapped, compatible,
#: site-local, link-local, unique-local and multicast addresses all lie outside it.
_GLOBAL_V6 = ipaddress.ip_network("2000::/3")
#: Ports below 1024 other than these belong to mail, shells and directories, never to an HTTP API.
_LOW_PORTS = frozenset({80, 443})


class GuardRefused(SivoError):  # noqa: N818 - named after what the guard did
    """A request was refused before a byte was sent; code ``OUTBOUND_REFUSED``."""

    def __init__(self, message: str, *, where: str | None = None, remedy: str | None = None) -> None:
        super().__init__(OUTBOUND_REFUSED, message, where=where, remedy=remedy)


@dataclass(frozen=True, slots=True)
class Allowed:
    """One entry of the operator's allow-list: a network, on one port or (``None``) on every port."""

    network: Network
    port: int | None = None

    def covers(self, address: Address, port: int) -> bool:
        """Whether ``address``:``port`` is meant by this entry."""
        if self.port is not None and self.port != port:
            return False
        return address.version == self.network.version and address in self.network


def parse_allow(text: str) -> tuple[Allowed, ...]:
    """Read ``127.0.0.0/8:8090, 10.1.2.3, [fd00::/8]:443``; ``ValueError`` names the entry that is wrong."""
    return tuple(_parse_entry(entry.strip()) for entry in text.split(",") if entry.strip())


def _parse_entry(entry: str) -> Allowed:
    network, port = entry, ""
    if entry.startswith("["):
        network, bracket, rest = entry[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(f"outbound allow-list entry {entry!r}: expected [network]:port")
        port = rest[1:]
    elif entry.count(":") == 1:
        network, _, port = entry.partition(":")
    if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"outbound allow-list entry {entry!r}: {port!r} is not a port")
    try:
        return Allowed(ipaddress.ip_network(network), int(port) if port else None)
    except ValueError as error:
        raise ValueError(f"outbound allow-list entry {entry!r}: {error}") from error


def why_denied(address: Address) -> str:
    """Why ``address`` is not a public unicast address, in a few words; empty when it is one."""
    if isinstance(address, ipaddress.IPv6Address) and address not in _GLOBAL_V6:
        return "it is not a global unicast IPv6 address"
    if address.is_loopback:
        return "it is this machine itself"
    if address.is_link_local:
        return "it is link-local, where cloud hosts serve credentials"
    if address.is_multicast:
        return "it is multicast"
    if any(address.version == block.version and address in block for block in _DENIED):
        return "it lies in a reserved block"
    if not address.is_global:
        return "it is a private or reserved address"
    return ""


class Guard:
    """Judges final addresses. ``plain`` = the request is http://, good only for addresses on the allow-list."""

    def __init__(self, allow: tuple[Allowed, ...] = (), *, plain: bool = False) -> None:
        self._allow = allow
        self._plain = plain

    def check(self, host: str, port: int) -> None:
        """Raise :class:`GuardRefused` unless a socket to the IP address ``host`` and ``port`` may be made."""
        try:
            address = ipaddress.ip_address(host)
        except ValueError as error:
            raise GuardRefused(f"{host!r} is not an IP address", where=host) from error
        if any(entry.covers(address, port) for entry in self._allow):
            return
        reason = why_denied(address)
        if not reason and self._plain:
            reason = "plain http:// is only for addresses that the operator has allowed"
        if not reason and port < 1024 and port not in _LOW_PORTS:
            reason = f"port {port} is not a port of HTTP services"
        if reason:
            raise GuardRefused(
                f"outbound connection to {address} port {port} refused: {reason}",
                where=_place(address, port),
                remedy=f"use a public https:// address, or let the operator add {_entry(address, port)} to "
                "SIVO_DANGEROUS_OUTBOUND_ALLOW",
            )


class ExactGuard:
    """Lets only the platform's own configured (address, port) pairs through; used for our speech role."""

    def __init__(self, places: frozenset[tuple[str, int]]) -> None:
        self._places = places

    def check(self, host: str, port: int) -> None:
        """Raise :class:`GuardRefused` unless (``host``, ``port``) is one of the platform's own."""
        if (host, port) not in self._places:
            raise GuardRefused(
                f"internal request to {host} port {port} refused: it is not an address of this platform",
                where=f"{host}:{port}",
                remedy="mark only requests to the platform's own roles as internal",
            )


def _place(address: Address, port: int) -> str:
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


def _entry(address: Address, port: int) -> str:
    return f"[{address}/128]:{port}" if address.version == 6 else f"{address}/32:{port}"
