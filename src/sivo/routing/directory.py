"""What routing knows, in memory: an immutable picture of all tenants, swapped as a whole when something changed.

Everything here is plain data and look-ups; :mod:`sivo.routing.loader` fills it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sivo.routing import numbers
from sivo.routing.target_spec import TargetSpec
from sivo.schedules.hours import Schedule
from sivo.sip.peer import Peer, unbracketed
from sivo.sip.sdes import SrtpPolicy

if TYPE_CHECKING:
    from sivo.config.policies import Policy
    from sivo.config.snapshot import Snapshot

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Tenant:
    """One tenant as routing sees it. ``domains`` are its valid SIP domains, lower case, the one in force first."""

    id: UUID
    slug: str
    domains: tuple[str, ...]
    timezone: str
    version: int
    status: str = "active"


@dataclass(frozen=True, slots=True)
class Extension:
    """A number inside a tenant that a phone can register. The password never leaves memory and is not in ``repr``."""

    id: UUID
    tenant_id: UUID
    number: str
    name: str = ""
    user_id: UUID | None = None
    password: str = field(default="", repr=False)
    #: Softphones: digest user names with their own secrets.
    devices: Mapping[str, str] = field(default_factory=dict, repr=False)
    srtp: SrtpPolicy = SrtpPolicy.OPTIONAL
    #: Keys that begin a transfer in a call; empty: none do.
    transfer_code: str = ""

    def password_of(self, account: str) -> str | None:
        """The secret that goes with a digest user name of this extension; None when it is none (any more)."""
        if account == self.number:
            return self.password or None
        return self.devices.get(account)


@dataclass(frozen=True, slots=True)
class OutboundRule:
    """Numbers that begin with ``prefix`` (E.164, with plus) may leave through the trunk; lower ``priority`` first."""

    prefix: str
    priority: int = 10


@dataclass(frozen=True, slots=True)
class Trunk:
    """A carrier: where it may send from, where calls to it go, and which numbers may be called through it."""

    id: UUID
    tenant_id: UUID
    name: str
    networks: tuple[Network, ...]
    host: str = ""
    port: int = 5060
    country: str = ""
    outbound: tuple[OutboundRule, ...] = ()
    caller_id: str = ""
    username: str = ""
    password: str = field(default="", repr=False)
    keys_as_sound: bool = False
    transport: str = "udp"
    #: Whether we register at the carrier; country calling codes that may be called (empty: those of the rules).
    register: bool = False
    countries: tuple[str, ...] = ()

    @property
    def peer(self) -> Peer:
        """Where requests to the carrier go."""
        return Peer(unbracketed(self.host), self.port, self.transport.upper())


@dataclass(frozen=True, slots=True)
class Did:
    """A number of the public network and who answers it (``target_kind``: ``ai_agent``, ``extension``, ``ring_group``
    or ``schedule``, and behind a schedule ``open`` and ``closed``)."""

    id: UUID
    tenant_id: UUID
    number: str
    trunk_id: UUID | None
    target_kind: str
    target_id: UUID | None
    language: str = ""
    open: TargetSpec | None = None
    closed: TargetSpec | None = None

    @property
    def spec(self) -> TargetSpec | None:
        """Who answers, as it was configured."""
        return TargetSpec(self.target_kind, self.target_id, self.open, self.closed) if self.target_id else None


@dataclass(frozen=True, slots=True)
class RingGroup:
    """Extensions that ring together (``ring_all``) or one after the other (``in_order``), ``ring_seconds`` each."""

    id: UUID
    tenant_id: UUID
    name: str
    extensions: tuple[UUID, ...]
    strategy: str = "ring_all"
    ring_seconds: float = 20.0
    no_answer: TargetSpec | None = None


@dataclass(frozen=True, slots=True)
class CarrierLimits:
    """Calls that the tenant may start towards carriers, a minute and at a time; None: as the platform says."""

    per_minute: int | None = None
    at_a_time: int | None = None


@dataclass(frozen=True, slots=True)
class Agent:
    """An AI agent as its resource describes it."""

    id: UUID
    tenant_id: UUID
    name: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ProviderKey:
    """A provider's API key; ``host`` is the host that it was entered for, and the only one that may see it.

    ``base_url``: where the engine is served (empty: at its vendor's usual place).
    """

    value: str = field(repr=False)
    host: str | None = None
    base_url: str = ""


@dataclass(frozen=True, slots=True)
class TenantPicture:
    """Everything of one tenant; replaced as a whole when the tenant's configuration version moves."""

    tenant: Tenant
    extensions: tuple[Extension, ...] = ()
    trunks: tuple[Trunk, ...] = ()
    dids: tuple[Did, ...] = ()
    agents: tuple[Agent, ...] = ()
    recording_policies: tuple[Policy, ...] = ()
    transcription_policies: tuple[Policy, ...] = ()
    #: Pinned configuration by (DID, agent); (None, None) is the tenant's own.
    snapshots: Mapping[tuple[UUID | None, UUID | None], Snapshot] = field(default_factory=dict)
    #: When something in here runs out by itself (a replaced domain), so that it has to be read again.
    stale_at: datetime | None = None
    #: Provider keys by stage: ``stt``, ``llm``, ``tts``.
    keys: Mapping[str, ProviderKey] = field(default_factory=dict, repr=False)
    schedules: tuple[Schedule, ...] = ()
    ring_groups: tuple[RingGroup, ...] = ()
    carrier_limits: CarrierLimits = field(default_factory=CarrierLimits)

    def snapshot(self, did: Did | None, agent: Agent | None) -> Snapshot:
        """The configuration that a call through ``did`` to ``agent`` pins; the tenant's own where there is no other."""
        key = (did.id if did else None, agent.id if agent else None)
        return self.snapshots.get(key) or self.snapshots[None, None]


class Directory:
    """Look-ups over the pictures of all tenants. Never changed after it is made."""

    def __init__(self, pictures: Iterable[TenantPicture] = ()) -> None:
        self.pictures: Mapping[UUID, TenantPicture] = MappingProxyType({p.tenant.id: p for p in pictures})
        self._domains: dict[str, Tenant] = {}
        self._extensions: dict[tuple[UUID, str], Extension] = {}
        self._accounts: dict[tuple[UUID, str], Extension] = {}
        self._dids: dict[str, list[Did]] = {}
        self._agents: dict[UUID, Agent] = {}
        self._trunks: dict[UUID, Trunk] = {}
        #: (IP version, prefix length) -> network number -> trunks: a look-up per prefix length in use, not a scan.
        self._networks: dict[tuple[int, int], dict[int, list[Trunk]]] = {}
        for picture in self.pictures.values():
            if picture.tenant.status == "active":
                self._index(picture)

    def _index(self, picture: TenantPicture) -> None:
        for domain in picture.tenant.domains:
            self._domains.setdefault(domain.lower(), picture.tenant)
        for extension in picture.extensions:
            self._extensions[extension.tenant_id, extension.number] = extension
            for account in (extension.number, *extension.devices):
                self._accounts[extension.tenant_id, account] = extension
        for did in picture.dids:
            self._dids.setdefault(did.number, []).append(did)
        for agent in picture.agents:
            self._agents[agent.id] = agent
        for trunk in picture.trunks:
            self._trunks[trunk.id] = trunk
            for network in trunk.networks:
                known = self._networks.setdefault((network.version, network.prefixlen), {})
                known.setdefault(_bits(network.network_address, network.prefixlen), []).append(trunk)

    def tenant(self, tenant_id: UUID) -> Tenant | None:
        """The tenant with this id."""
        picture = self.pictures.get(tenant_id)
        return picture.tenant if picture else None

    def tenant_of_domain(self, domain: str) -> Tenant | None:
        """The tenant whose SIP domain this is."""
        return self._domains.get(domain.lower().rstrip("."))

    def extension(self, tenant_id: UUID, number: str) -> Extension | None:
        """An extension by its number within one tenant."""
        return self._extensions.get((tenant_id, number))

    def extension_of_account(self, tenant_id: UUID, account: str) -> Extension | None:
        """The extension that a digest user name belongs to: its number, or that of one of its softphones."""
        return self._accounts.get((tenant_id, account))

    def extension_by_id(self, tenant_id: UUID, extension_id: UUID) -> Extension | None:
        """An extension by its id within one tenant."""
        picture = self.pictures.get(tenant_id)
        return next((e for e in picture.extensions if e.id == extension_id), None) if picture else None

    def schedule(self, tenant_id: UUID, schedule_id: UUID) -> Schedule | None:
        """A schedule by its id within one tenant."""
        picture = self.pictures.get(tenant_id)
        return next((one for one in picture.schedules if one.id == schedule_id), None) if picture else None

    def ring_group(self, tenant_id: UUID, group_id: UUID) -> RingGroup | None:
        """A ring group by its id within one tenant."""
        picture = self.pictures.get(tenant_id)
        return next((one for one in picture.ring_groups if one.id == group_id), None) if picture else None

    def agent(self, agent_id: UUID) -> Agent | None:
        """An AI agent by its id."""
        return self._agents.get(agent_id)

    def trunk(self, trunk_id: UUID) -> Trunk | None:
        """A trunk by its id."""
        return self._trunks.get(trunk_id)

    def trunks_of(self, tenant_id: UUID) -> tuple[Trunk, ...]:
        """All trunks of one tenant, in the order of their ids."""
        picture = self.pictures.get(tenant_id)
        return picture.trunks if picture else ()

    def trunks_at(self, host: str) -> list[Trunk]:
        """Trunks whose allowed networks hold the address ``host``; carriers may overlap, so there can be several."""
        address = _address(host)
        if address is None:
            return []
        found: dict[UUID, Trunk] = {}
        for (version, prefix), known in self._networks.items():
            if version == address.version:
                for trunk in known.get(_bits(address, prefix), ()):
                    found[trunk.id] = trunk
        return list(found.values())

    def did_of_tenant(self, tenant_id: UUID, candidates: Iterable[str]) -> Did | None:
        """The tenant's own DID among ``candidates`` (E.164), whichever trunk it came with."""
        for number in candidates:
            for did in self._dids.get(number, ()):
                if did.tenant_id == tenant_id:
                    return did
        return None

    def did_on_trunks(self, trunks: Iterable[Trunk], user: str) -> tuple[Did, Trunk] | None:
        """The DID that ``user`` names, owned by one of ``trunks``, with that trunk.

        A DID is only found on the trunk that it is bound to; one that is bound to none is reached from inside alone.
        """
        for trunk in trunks:
            for number in numbers.e164_candidates(user, trunk.country):
                for did in self._dids.get(number, ()):
                    if did.tenant_id == trunk.tenant_id and did.trunk_id == trunk.id:
                        return did, trunk
        return None


@lru_cache(maxsize=4096)
def _address(host: str) -> Address | None:
    """The address that a packet came from; None for what is none."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


def _bits(address: Address, prefix: int) -> int:
    """The first ``prefix`` bits of an address as a number."""
    return int(address) >> (address.max_prefixlen - prefix)
