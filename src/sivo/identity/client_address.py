"""Whose request is it: the client's address, with forwarded headers believed only from configured proxies."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def parse_proxies(setting: str) -> tuple[Network, ...]:
    """Comma-separated CIDRs of the trusted proxies. Raises ValueError naming the bad entry."""
    return tuple(ip_network(part.strip(), strict=False) for part in setting.split(",") if part.strip())


def client_address(peer: str, forwarded_for: list[str], proxies: tuple[Network, ...]) -> Address | None:
    """The address a request is counted under; None when ``peer`` is not an IP address (a Unix socket).

    ``forwarded_for`` holds every X-Forwarded-For header in order. It is read from the right, one hop per
    trusted proxy, and reading stops at the first hop that is not a proxy of ours or is not an address:
    what stands further left was written by a stranger.
    """
    current = _parse(peer)
    if current is None:
        return None
    hops = [hop.strip() for header in forwarded_for for hop in header.split(",")]
    while hops and _trusted(current, proxies):
        previous = _parse(hops.pop())
        if previous is None:
            break
        current = previous
    return current


def limit_key(address: Address) -> str:
    """What a per-IP limit counts by: an IPv4 address, or the /64 of an IPv6 address."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(IPv6Network((address, 64), strict=False))
    return str(address)


def _trusted(address: Address, proxies: tuple[Network, ...]) -> bool:
    return any(address in network for network in proxies)


def _parse(text: str) -> Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
