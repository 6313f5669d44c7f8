"""Whom to ring: the phones of extensions, or a carrier, with the From and To that they see, one try after the other."""

from __future__ import annotations

from dataclasses import dataclass, field

from sivo.base import logs
from sivo.calls.call import Call
from sivo.calls.callee_fork import Destination
from sivo.calls.legs import SECURE
from sivo.calls.services import Services
from sivo.edge import trust
from sivo.edge.trust import Edge
from sivo.routing import decide
from sivo.routing.decide import Target, ToExtension, ToGroup, ToTrunk
from sivo.routing.directory import Extension, Trunk
from sivo.routing.targets import chain
from sivo.sip.address import NameAddr
from sivo.sip.sdes import SrtpPolicy
from sivo.sip.uri import Uri

log = logs.get("calls")


@dataclass(slots=True)
class Callee:
    """One try: everything that its INVITEs need; no destinations = nobody to ring."""

    from_: NameAddr
    to: NameAddr
    destinations: list[Destination] = field(default_factory=list)
    #: Whose phones these are, where they are all of one extension; else by destination.
    extension: Extension | None = None
    owners: dict[Destination, Extension] = field(default_factory=dict)
    trunk: Trunk | None = None
    #: How long it may ring before the next try; None: as long as the call waits for anybody.
    seconds: float | None = None
    #: What the trace calls it.
    name: str = ""

    def owner(self, destination: Destination | None) -> Extension | None:
        """The extension whose phone it is."""
        return self.extension or (self.owners.get(destination) if destination else None)


def tries(services: Services, call: Call, transfer_to: str) -> list[Callee]:
    """Everybody whom the route (or a transfer to ``transfer_to``) rings, in turn."""
    return _tries(services, call, _target(services, call, transfer_to))


def resolve(services: Services, call: Call, transfer_to: str) -> Callee:
    """The one try of a transfer: of a ring group all phones at once, of several carriers the first that lives."""
    target = _target(services, call, transfer_to)
    if isinstance(target, ToGroup):
        return _together(services, call, target.extensions)
    found = _tries(services, call, target)
    nobody = _from(call)
    return found[0] if found else Callee(nobody, nobody)


def rings(services: Services, target: Target) -> bool:
    """Whether a phone or a carrier will be rung right away, as far as can be told."""
    match target:
        case ToExtension(extension):
            return bool(services.registrar.contacts(extension.id, services.clock.now()))
        case _:
            return isinstance(target, ToTrunk)


def redirect(services: Services, call: Call, user: str) -> list[Destination]:
    """Where a phone may send its caller on to: by the rules of transfers, and a carrier may name no other carrier."""
    from_trunk = call.caller_extension is None or isinstance(call.route.target, ToTrunk)
    target = _fused(services, call, _transfer(services, call, user, from_trunk=from_trunk))
    found = _tries(services, call, target) if isinstance(target, ToExtension | ToTrunk) else []
    return found[0].destinations if found else []


def _target(services: Services, call: Call, transfer_to: str) -> Target:
    if not transfer_to:
        return call.route.target
    from_trunk = call.caller_extension is None
    return _fused(services, call, _transfer(services, call, transfer_to, from_trunk=from_trunk))


def _transfer(services: Services, call: Call, to: str, *, from_trunk: bool) -> Target:
    now = services.clock.now()
    return decide.transfer(services.directory.current, call.tenant.id, to, now, from_trunk=from_trunk)


def _fused(services: Services, call: Call, target: Target) -> Target:
    """A carrier is called by a transfer or a redirection, too: the tenant's fuse counts it."""
    if not isinstance(target, ToTrunk):
        return target
    picture = services.directory.current.pictures.get(call.tenant.id)
    limits = picture.carrier_limits if picture else None
    blown = services.fuse.admit(call.tenant.id, 0, services.clock.monotonic(), limits)
    if blown:
        log.warning("a call to a carrier is refused", tenant=str(call.tenant.id), call=str(call.id), reason=blown)
    return decide.FORBIDDEN if blown else target


def _tries(services: Services, call: Call, target: Target) -> list[Callee]:
    found: list[Callee] = []
    for one in chain(target):
        match one:
            case ToExtension(extension):
                found.append(_extension(services, call, extension))
            case ToGroup(group, extensions, _):
                rung = [[one] for one in extensions] if group.strategy == "in_order" else [list(extensions)]
                found += [_in_group(_together(services, call, some), group.ring_seconds) for some in rung]
            case ToTrunk():
                found += _trunks(services, call, one)
    return found


def _in_group(one: Callee, seconds: float) -> Callee:
    one.seconds = seconds
    return one


def _together(services: Services, call: Call, extensions: list[Extension] | tuple[Extension, ...]) -> Callee:
    """The phones of all of them at once."""
    if len(extensions) == 1:
        return _extension(services, call, extensions[0])
    from_, domain = _from(call), call.tenant.domains[0]
    owners = {
        destination: extension
        for extension in extensions
        for destination in _extension(services, call, extension).destinations
    }
    dialled = call.route.to_number
    name = "extensions " + ", ".join(one.number for one in extensions)
    return Callee(from_, NameAddr("", Uri("sip", dialled, domain)), list(owners), owners=owners, name=name)


def _extension(services: Services, call: Call, extension: Extension) -> Callee:
    to = NameAddr("", Uri("sip", extension.number, call.tenant.domains[0]))
    bindings = services.registrar.contacts(extension.id, services.clock.now())
    destinations = [Destination(binding.uri, binding.source, srtp=extension.srtp) for binding in bindings]
    if extension.srtp is SrtpPolicy.REQUIRED:
        in_the_clear = [one for one in destinations if one.peer.transport not in SECURE]
        if in_the_clear:
            ids = {"tenant": str(call.tenant.id), "call": str(call.id)}
            log.warning("a phone without TLS is not rung: SRTP is required", extension=extension.number, **ids)
        destinations = [one for one in destinations if one.peer.transport in SECURE]
    destinations += _at_edge(services.edge, extension)
    return Callee(_from(call), to, destinations, extension, name=f"extension {extension.number}")


def _at_edge(edge: Edge, extension: Extension) -> list[Destination]:
    """The phones that have registered at the edge: it knows where they are, and keeps to their SRTP policy."""
    if edge.peer is None:
        return []
    uri = edge.phones(extension.tenant_id, extension.number)
    return [Destination(uri, edge.peer, headers=(*edge.headers, (trust.SRTP, str(extension.srtp))))]


def _from(call: Call) -> NameAddr:
    return NameAddr(call.caller_name, Uri("sip", call.route.from_number or "anonymous", call.tenant.domains[0]))


def _trunks(services: Services, call: Call, target: ToTrunk) -> list[Callee]:
    """Carriers in the order of their rules; those that are known to be down are tried when no other is left."""
    known = [target, *target.others]
    up = [one for one in known if services.trunk_up(one.trunk.id)]
    edge = services.edge
    return [_trunk(call, edge, one.trunk, one.number) for one in [*up, *(one for one in known if one not in up)]]


def _trunk(call: Call, edge: Edge, trunk: Trunk, number: str) -> Callee:
    shown = trunk.caller_id or call.route.from_number
    params = {} if trunk.transport == "udp" else {"transport": trunk.transport}
    uri = Uri("sip", number, trunk.host, trunk.port, params)
    from_ = NameAddr("", Uri("sip", shown, call.tenant.domains[0]))
    credentials = (trunk.username, trunk.password) if trunk.username and trunk.password else None
    destination = Destination(uri, edge.peer or trunk.peer, credentials, headers=edge.headers)
    return Callee(from_, NameAddr("", uri), [destination], trunk=trunk, name=f"trunk {trunk.name}")
