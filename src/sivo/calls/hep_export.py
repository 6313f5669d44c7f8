"""The SIP ladder to a HEP3 collector: every message, without its secrets, with the platform's id of its call.

Both phones of a call have Call-IDs of their own; the id of the call in the correlation chunk is what brings them
together. The INVITE is seen before there is a call, so messages wait a moment for one; then they go with their Call-ID.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable

from sivo.base import logs
from sivo.base.clock import Clock
from sivo.base.settings import Settings
from sivo.sip.hep import Captured, encode
from sivo.sip.ladder import LadderEntry
from sivo.sip.peer import Peer, unbracketed

#: Seconds that a message waits for its call, and between looks; messages that wait at most.
CLAIM_SECONDS, LOOK_SECONDS = 1.0, 0.1
MAX_WAITING = 5000
log = logs.get("calls")

#: Id of the call that a Call-ID belongs to, or "".
Owner = Callable[[str], str]
#: Our own address as a peer sees it, and an address for a peer's name.
Here = Callable[[Peer], tuple[str, int]]


class HepExport:
    """Off without a collector. ``sent`` and ``failed`` count messages."""

    def __init__(self, settings: Settings, clock: Clock, owner: Owner) -> None:
        self._collector = settings.hep_collector
        self._agent = settings.hep_capture_id
        self._key = settings.hep_password.get_secret_value().encode()
        self._clock = clock
        self._owner = owner
        self._waiting: deque[tuple[LadderEntry, tuple[str, int], float]] = deque()
        self._socket: socket.socket | None = None
        self._task: asyncio.Task[None] | None = None
        self._here: Here = lambda peer: ("", 0)
        self.sent = 0
        self.failed = 0

    async def start(self, here: Here) -> None:
        """Open the socket; a collector without an address is logged and left out, the phones matter more."""
        if not self._collector:
            return
        host, _, port = self._collector.rpartition(":")
        self._here = here
        try:
            found = await asyncio.get_running_loop().getaddrinfo(
                unbracketed(host), int(port), type=socket.SOCK_DGRAM, proto=socket.IPPROTO_UDP
            )
            family, kind, protocol, _, address = found[0]
            self._socket = socket.socket(family, kind, protocol)
            self._socket.setblocking(False)
            self._socket.connect(address)
        except (OSError, ValueError) as error:
            log.error("the HEP collector cannot be used", collector=self._collector, error=str(error))
            if self._socket is not None:
                self._socket.close()
                self._socket = None
            return
        self._task = asyncio.create_task(self._run(), name="hep-export")
        log.info("the SIP ladder goes to a collector", collector=self._collector, agent=self._agent)

    async def stop(self) -> None:
        """Send what waits, then close."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._look(last=True)
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def tap(self, entry: LadderEntry) -> None:
        """One message went by."""
        if self._socket is None:
            return
        self._waiting.append((entry, self._here(entry.peer), self._clock.monotonic()))
        if len(self._waiting) > MAX_WAITING:
            self._send(*self._waiting.popleft()[:2])

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self._look()

    def _look(self, *, last: bool = False) -> None:
        now = self._clock.monotonic()
        waiting, self._waiting = self._waiting, deque()
        for entry, here, since in waiting:
            if last or self._owner(entry.call_id) or _stands_alone(entry) or now - since >= CLAIM_SECONDS:
                self._send(entry, here)
            else:
                self._waiting.append((entry, here, since))

    def _send(self, entry: LadderEntry, here: tuple[str, int]) -> None:
        if self._socket is None:
            return
        there = (entry.peer.host, entry.peer.port)
        source, target = (there, here) if entry.direction == "in" else (here, there)
        correlation = self._owner(entry.call_id) or entry.call_id
        message = Captured(entry.at, source, target, entry.peer.transport, entry.wire, correlation)
        try:
            self._socket.send(encode(message, self._agent, self._key))
            self.sent += 1
        except (OSError, ValueError):
            self.failed += 1  # nobody listens there, or no place in the socket: a ladder is not worth a wait


def _stands_alone(entry: LadderEntry) -> bool:
    return entry.cseq.endswith(("REGISTER", "OPTIONS"))
