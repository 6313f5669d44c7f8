"""What an edge has to know of the tenants: domains, accounts with their HA1, and carriers' networks. Pure.

Made of the same pictures that nodes route by, so that an edge lets in whom a node would.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from uuid import UUID

from sivo.edge.trust import PHONES
from sivo.routing.directory import Extension, TenantPicture
from sivo.sip.digest import ha1


@dataclass(frozen=True, slots=True)
class Account:
    """A digest account in one domain. ``home`` is the host of the address of record: ``<tenant id>.phones.invalid``."""

    username: str
    domain: str
    ha1: str = field(repr=False)
    extension: str = ""
    home: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """Everything of all active tenants, sorted, so that the same database gives the same text."""

    domains: tuple[tuple[str, UUID], ...] = ()
    accounts: tuple[Account, ...] = ()
    networks: tuple[IPv4Network | IPv6Network, ...] = ()


def view(pictures: Iterable[TenantPicture], algorithm: str) -> View:
    """The view over ``pictures``, with HA1 for ``algorithm`` (MD5 or SHA-256)."""
    active = [one for one in pictures if one.tenant.status == "active"]
    domains = {domain.lower(): one.tenant.id for one in active for domain in one.tenant.domains}
    accounts = [
        account
        for one in active
        for domain in one.tenant.domains
        for extension in one.extensions
        for account in _accounts(extension, domain.lower(), algorithm)
    ]
    networks = {network for one in active for trunk in one.trunks for network in trunk.networks}
    return View(
        domains=tuple(sorted(domains.items())),
        accounts=tuple(sorted(accounts, key=lambda one: (one.domain, one.username))),
        networks=tuple(sorted(networks, key=lambda one: (one.version, int(one.network_address), one.prefixlen))),
    )


def _accounts(extension: Extension, domain: str, algorithm: str) -> Iterable[Account]:
    home = f"{extension.tenant_id}.{PHONES}"
    for username in (extension.number, *extension.devices):
        password = extension.password_of(username)
        if password:
            yield Account(username, domain, ha1(username, domain, password, algorithm), extension.number, home)
