"""Whom to ring: the phones of an extension, or a carrier, with the From and To that they see."""

from __future__ import annotations

from dataclasses import dataclass, field

from sivo.base import logs
from sivo.calls.call import Call
from sivo.calls.callee_fork import Destination
from sivo.calls.services import Services
from sivo.routing import decide
from sivo.routing.directory import Extension, Trunk
from sivo.sip.address import NameAddr
from sivo.sip.uri import Uri

log = logs.get("calls")


@dataclass(slots=True)
class Callee:
    """Everything that an INVITE needs; no destinations = nobody to ring."""

    from_: NameAddr
    to: NameAddr
    destinations: list[Destination] = field(default_factory=list)
    extension: Extension | None = None


def resolve(services: Services, call: Call, transfer_to: str) -> Callee:
    """The callee of the route, or of a transfer to ``transfer_to``."""
    domain = call.tenant.domains[0]
    from_ = NameAddr(call.caller_name, Uri("sip", call.route.from_number or "anonymous", domain))
    target = call.route.target
    if transfer_to:
        from_trunk = call.caller_extension is None
        directory = services.directory.current
        target = _fused(services, call, decide.transfer(directory, call.tenant.id, transfer_to, from_trunk=from_trunk))
    match target:
        case decide.ToExtension(extension):
            return _extension(services, from_, domain, extension)
        case decide.ToTrunk(trunk, number):
            return _trunk(call, trunk, number)
    return Callee(from_, from_)


def redirect(services: Services, call: Call, user: str) -> list[Destination]:
    """Where a phone may send its caller on to: by the rules of transfers, and a carrier may name no other carrier."""
    from_trunk = call.caller_extension is None or isinstance(call.route.target, decide.ToTrunk)
    directory = services.directory.current
    target = _fused(services, call, decide.transfer(directory, call.tenant.id, user, from_trunk=from_trunk))
    match target:
        case decide.ToExtension(extension):
            bindings = services.registrar.contacts(extension.id, services.clock.now())
            return [Destination(binding.uri, binding.source) for binding in bindings]
        case decide.ToTrunk(trunk, number):
            return _trunk(call, trunk, number).destinations
    return []


def _fused(services: Services, call: Call, target: decide.Target) -> decide.Target:
    """A carrier is called by a transfer or a redirection, too: the tenant's fuse counts it."""
    if not isinstance(target, decide.ToTrunk):
        return target
    blown = services.fuse.admit(call.tenant.id, 0, services.clock.monotonic())
    if blown:
        log.warning("a call to a carrier is refused", tenant=str(call.tenant.id), call=str(call.id), reason=blown)
    return decide.FORBIDDEN if blown else target


def _extension(services: Services, from_: NameAddr, domain: str, extension: Extension) -> Callee:
    to = NameAddr("", Uri("sip", extension.number, domain))
    bindings = services.registrar.contacts(extension.id, services.clock.now())
    destinations = [Destination(binding.uri, binding.source) for binding in bindings]
    return Callee(from_, to, destinations, extension)


def _trunk(call: Call, trunk: Trunk, number: str) -> Callee:
    shown = trunk.caller_id or call.route.from_number
    params = {} if trunk.transport == "udp" else {"transport": trunk.transport}
    uri = Uri("sip", number, trunk.host, trunk.port, params)
    from_ = NameAddr("", Uri("sip", shown, call.tenant.domains[0]))
    credentials = (trunk.username, trunk.password) if trunk.username and trunk.password else None
    return Callee(from_, NameAddr("", uri), [Destination(uri, trunk.peer, credentials)])
