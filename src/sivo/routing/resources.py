"""What calls are routed by: extensions, trunks and DIDs."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from ipaddress import ip_network
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints

from sivo.config.kinds import (
    Body,
    ResourceKind,
    SecretField,
    Unique,
    register_kind,
    uuid_reference,
)
from sivo.config.room_rules import rule
from sivo.config.values import E164, ExtensionNumber, LanguageCode, Name
from sivo.identity.permissions import Permission
from sivo.routing.target_body import Target, check_circles, references


def sip_password() -> str:
    """A SIP password for an extension that was given none: 24 URL-safe characters, 144 random bits."""
    return secrets.token_urlsafe(18)


def _network(value: str) -> str:
    network = ip_network(value, strict=True)
    if network.prefixlen == 0:
        raise ValueError("an ACL of the whole Internet is no ACL")
    return str(network)


Cidr = Annotated[str, AfterValidator(_network)]
SipHost = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.:\[\]-]{1,253}$")]


class Extension(Body):
    """A SIP account of the tenant's domain: the number is user part and digest user name."""

    number: ExtensionNumber
    name: Name | None = None
    #: The person it belongs to.
    user: UUID | None = None
    #: Whether the audio of its phones is protected (SRTP, with keys over TLS): ``optional`` where a phone can.
    srtp: Literal["off", "optional", "required"] = "optional"
    #: Keys with which its person passes a call on, before number and ``#`` ("*2": ``*2101#``); null: none.
    transfer_code: Annotated[str, StringConstraints(pattern=r"^[*#][0-9]{1,3}$")] | None = None
    active: bool = True


CountryCode = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,2}$")]


class OutboundRule(Body):
    """Numbers that begin with ``prefix`` (E.164, with plus) may leave through the trunk."""

    prefix: Annotated[str, StringConstraints(pattern=r"^\+[0-9]{0,15}$")]
    #: Of several trunks that allow a number the lowest is called first, the next when that one is dead.
    priority: Annotated[int, Field(ge=0, le=1000)] = 10


class Trunk(Body):
    """A carrier: the addresses it calls from, and where and how we call it."""

    name: Name
    #: Source addresses that may send INVITE (the trunk's ACL), IPv4 or IPv6 networks.
    cidrs: Annotated[list[Cidr], Field(max_length=100, default_factory=list)]
    host: SipHost | None = None
    port: Annotated[int, Field(ge=1, le=65535)] = 5060
    transport: Literal["udp", "tcp", "tls"] = "udp"
    #: Country calling code for carriers that send national numbers ("34").
    country: Annotated[str, StringConstraints(pattern=r"^([1-9][0-9]{0,2})?$")] = ""
    #: Number shown on calls that leave through it.
    caller_id: E164 | None = None
    #: Digest user name towards the carrier; the password is the secret field.
    username: Annotated[str, StringConstraints(max_length=100)] | None = None
    #: Register there with that name, so that the carrier knows where we are.
    register_there: bool = False
    #: Country calling codes that may be called through it ("34"); empty: whatever the rules below allow.
    countries: Annotated[list[CountryCode], Field(max_length=250, default_factory=list)]
    #: Denied by default: without a rule nothing leaves through this trunk.
    outbound: Annotated[list[OutboundRule], Field(max_length=100, default_factory=list)]
    #: The carrier sends keys as sound and not as telephone events: listen for them.
    keys_as_sound: bool = False
    active: bool = True


class RingGroup(Body):
    """Extensions that ring for one call: all at once, or one after the other."""

    name: Name
    extensions: Annotated[list[UUID], Field(min_length=1, max_length=30)]
    strategy: Literal["ring_all", "in_order"] = "ring_all"
    #: How long all of them ring, or each of them.
    ring_seconds: Annotated[int, Field(ge=3, le=120)] = 20
    #: Who gets the call when nobody has answered; nobody: the caller gets 480.
    no_answer: Target | None = None
    active: bool = True


class CarrierLimits(Body):
    """One for each tenant, set by the operator: the fuse against toll fraud. Null: as the platform's settings say."""

    scope: Literal["tenant"] = "tenant"
    #: Calls to carriers that the tenant may start within a minute.
    calls_per_minute: Annotated[int, Field(ge=0, le=100_000)] | None = None
    #: Calls to carriers that may be up at a time.
    calls_at_a_time: Annotated[int, Field(ge=0, le=100_000)] | None = None


class Did(Body):
    """A number that is called from outside (or by its own extensions) and who answers it."""

    number: E164
    name: Name | None = None
    #: The trunk it arrives on; without one it is reached by the tenant's own extensions only.
    trunk: UUID | None = None
    target: Target | None = None
    #: Stands in for ``transcription.language`` on calls to this DID.
    transcription_language: LanguageCode | None = None
    active: bool = True


EXTENSION = register_kind(
    ResourceKind(
        name="extension",
        plural="extensions",
        model=Extension,
        secrets=(SecretField("sip_password", generate=sip_password),),
        unique=(Unique("extension.number", ("number",)),),
        references=(uuid_reference("user", "user"),),
    )
)

TRUNK = register_kind(
    ResourceKind(
        name="trunk",
        plural="trunks",
        model=Trunk,
        secrets=(SecretField("password", host="host", min_length=1),),
        unique=(Unique("trunk.name", ("name",)),),
    )
)

DID = register_kind(
    ResourceKind(
        name="did",
        plural="dids",
        model=Did,
        unique=(Unique("did.number", ("number",), platform_wide=True),),
        references=(uuid_reference("trunk", "trunk"),),
        further=lambda body: references("target", body),
    )
)


def _group_references(body: Mapping[str, Any]) -> Iterable[tuple[str, str, str]]:
    yield from (("extensions", "extension", str(one)) for one in body.get("extensions") or ())
    yield from references("no_answer", body)


RING_GROUP = register_kind(
    ResourceKind(
        name="ring_group",
        plural="ring-groups",
        model=RingGroup,
        unique=(Unique("ring_group.name", ("name",)),),
        further=_group_references,
    )
)

CARRIER_LIMITS = register_kind(
    ResourceKind(
        name="carrier_limits",
        plural="carrier-limits",
        model=CarrierLimits,
        unique=(Unique("carrier_limits.scope", ("scope",)),),
        write=Permission.TENANTS_MANAGE,
    )
)

rule(check_circles)
