"""Where a call goes, once that is decided."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sivo.routing.directory import Agent, Extension, RingGroup, Trunk


@dataclass(frozen=True, slots=True)
class ToAgent:
    """An AI agent answers."""

    agent: Agent


@dataclass(frozen=True, slots=True)
class ToExtension:
    """The phones of an extension ring."""

    extension: Extension


@dataclass(frozen=True, slots=True)
class ToGroup:
    """The phones of several extensions ring; ``otherwise`` is who gets the call when nobody answers."""

    group: RingGroup
    extensions: tuple[Extension, ...]
    otherwise: Target


@dataclass(frozen=True, slots=True)
class ToTrunk:
    """The call leaves through a carrier; ``others`` are tried when that one is dead, in this order."""

    trunk: Trunk
    number: str
    others: tuple[ToTrunk, ...] = ()


@dataclass(frozen=True, slots=True)
class Refuse:
    """Nobody answers: the SIP status and the cause for the CDR."""

    status: int
    phrase: str
    cause: str


Target = ToAgent | ToExtension | ToGroup | ToTrunk | Refuse

NOT_FOUND = Refuse(404, "Not Found", "UNALLOCATED_NUMBER")
FORBIDDEN = Refuse(403, "Forbidden", "CALL_REJECTED")
NOBODY = Refuse(480, "Temporarily Unavailable", "NO_ROUTE_DESTINATION")
CLOSED = Refuse(480, "Temporarily Unavailable", "out_of_hours")


def word(target: Target) -> str:
    """One word for the record: ``ai_agent``, ``extension``, ``ring_group``, ``trunk`` or ``refused``."""
    match target:
        case ToAgent():
            return "ai_agent"
        case ToExtension():
            return "extension"
        case ToGroup():
            return "ring_group"
        case ToTrunk():
            return "trunk"
        case Refuse():
            return "refused"


def told(target: Target) -> dict[str, Any]:
    """Ids and names for the trace; JSON."""
    found: dict[str, Any] = {"kind": word(target)}
    match target:
        case ToAgent(agent):
            return found | {"id": str(agent.id), "name": agent.name}
        case ToExtension(extension):
            return found | {"id": str(extension.id), "number": extension.number}
        case ToGroup(group, extensions, otherwise):
            numbers = [one.number for one in extensions]
            found |= {"id": str(group.id), "name": group.name, "strategy": group.strategy, "extensions": numbers}
            return found | {"ring_seconds": group.ring_seconds, "no_answer": told(otherwise)}
        case ToTrunk(trunk, number, others):
            found |= {"id": str(trunk.id), "name": trunk.name, "number": number}
            return found | ({"then": [one.trunk.name for one in others]} if others else {})
        case Refuse(status, phrase, cause):
            return found | {"status": status, "phrase": phrase, "cause": cause}


def chain(target: Target) -> Iterator[Target]:
    """``target`` and who gets the call after it, one after the other."""
    while True:
        yield target
        if not isinstance(target, ToGroup):
            return
        target = target.otherwise


def agent_of(target: Target) -> Agent | None:
    """The AI agent at the end of the chain, when there is one."""
    return next((one.agent for one in chain(target) if isinstance(one, ToAgent)), None)
