"""The live feed of one process: who publishes, who looks on. Pure; the wire is :mod:`sivo.realtime.line`."""

from __future__ import annotations

from typing import Any, Protocol
from uuid import UUID

#: One thing that happened: ``event`` names it, the rest is its data (JSON).
Message = dict[str, Any]


class Feed(Protocol):
    """Where a room tells what is of the moment. Never blocks, never fails."""

    def publish(self, tenant: UUID, topic: str, message: Message) -> None:
        """Tell everybody who looks on at ``topic`` of ``tenant``."""
        ...


class Onlooker(Protocol):
    """One who looks on."""

    def tell(self, message: Message) -> None:
        """Take one message; it may be dropped together with the onlooker, never wait."""
        ...

    def end(self) -> None:
        """There will be nothing more."""
        ...


class Hub:
    """The :class:`Feed` of a process: topics are kept apart by tenant, so that no name can cross."""

    def __init__(self) -> None:
        self._onlookers: dict[tuple[UUID, str], set[Onlooker]] = {}

    def publish(self, tenant: UUID, topic: str, message: Message) -> None:
        """See :class:`Feed`."""
        if not self._onlookers:
            return
        for onlooker in tuple(self._onlookers.get((tenant, topic), ())):
            onlooker.tell(message)

    def over(self, tenant: UUID, topic: str) -> None:
        """The topic has come to its end."""
        if not self._onlookers:
            return
        for onlooker in self._onlookers.pop((tenant, topic), set()):
            onlooker.end()

    def join(self, tenant: UUID, topic: str, onlooker: Onlooker) -> None:
        """Look on from now on."""
        self._onlookers.setdefault((tenant, topic), set()).add(onlooker)

    def leave(self, tenant: UUID, topic: str, onlooker: Onlooker) -> None:
        """Look on no more; harmless when one does not."""
        found = self._onlookers.get((tenant, topic))
        if found is not None:
            found.discard(onlooker)
            if not found:
                del self._onlookers[(tenant, topic)]

    def topics(self) -> list[tuple[UUID, str]]:
        """Everything that somebody looks on at."""
        return list(self._onlookers)

    def __len__(self) -> int:
        return sum(map(len, self._onlookers.values()))
