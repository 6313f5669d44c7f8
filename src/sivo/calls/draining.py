"""Taking a node out of service without dropping a call: it takes no new ones, and those that run go on to their end.

Whether it drains is told by a file (``run/drain``), so that a process that dies meanwhile comes back draining. When the
last call has ended and is written down, ``run/drained`` says so.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from sivo.base import logs
from sivo.base.settings import Settings

#: Between two looks at the file.
LOOK_SECONDS = 0.25
log = logs.get("calls")


class Draining:
    """``busy``: calls and unwritten rows that this process still has."""

    def __init__(self, settings: Settings, busy: Callable[[], int]) -> None:
        self._wish = settings.drain_file
        self._done = settings.drained_file
        self._busy = busy
        self._told = False
        self.on = self._wish.exists()

    def look(self) -> None:
        """Read the wish, and say when it is done."""
        wished = self._wish.exists()
        if wished != self.on:
            self.on = wished
            if wished:
                log.warning("the node drains: no new calls")
            else:
                log.warning("the node takes calls again")
        done = self.on and not self._busy()
        if done:
            self._done.touch(mode=0o600)  # each time: who asks again takes it away first, to hear it from us
            if not self._told:
                log.warning("the node is drained")
        else:
            self._done.unlink(missing_ok=True)
        self._told = done

    async def run(self) -> None:
        """Look again and again."""
        while True:
            with contextlib.suppress(OSError):  # the folder goes when the node does
                self.look()
            await asyncio.sleep(LOOK_SECONDS)
