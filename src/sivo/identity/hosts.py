"""Whose console a Host header names, remembered for a minute so that it costs no round trip a request."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from uuid import UUID

from sivo.base.clock import Clock
from sivo.base.errors import SivoError
from sivo.identity.directory import DASHBOARD_HOST, Directory

MAX_AGE_S = 60.0
CAPACITY = 1024


def host_name(header: str) -> str:
    """The host of a Host header (RFC 9110 §7.2) in lower case, without its port."""
    name, bracket, _ = header.partition("]")
    return header.lower() if bracket and name.startswith("[") else header.partition(":")[0].strip().lower()


class Hosts:
    """Owners of console hosts; forgotten at every change-set."""

    def __init__(self, directory: Directory, clock: Clock, told: Callable[[], bool] = lambda: True) -> None:
        self._directory = directory
        #: Whether changes are announced to this process; while they are not, it asks each time.
        self._told = told
        self._clock = clock
        self._known: OrderedDict[str, tuple[float, UUID | None]] = OrderedDict()
        self._generation = 0

    async def owner(self, header: str) -> UUID | None:
        """The tenant whose console this is; None on the shared API host."""
        name, now = host_name(header), self._clock.monotonic()
        found = self._known.get(name)
        if found is not None and now < found[0] and self._told():
            return found[1]
        generation = self._generation
        try:
            named = await self._directory.find(DASHBOARD_HOST, name)
        except SivoError as error:
            if error.code == "UNAVAILABLE" and found is not None and now < found[0]:
                return found[1]
            raise
        owner = named.tenant_id if named else None
        if generation == self._generation:
            self._known[name] = (now + MAX_AGE_S, owner)
            while len(self._known) > CAPACITY:
                self._known.popitem(last=False)
        return owner

    def forget(self) -> None:
        """A console may have been renamed."""
        self._generation += 1
        self._known.clear()
