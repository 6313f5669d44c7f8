"""One guest of a call."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from sivo.calls.callee_fork import CalleeFork
from sivo.calls.legs import Leg

LISTEN, WHISPER, BARGE, PARTY = "listen", "whisper", "barge", "party"


@dataclass(slots=True, eq=False)
class Guest:
    """``seat`` is the name of its leg in media, ``to`` the number that was rung."""

    to: str
    mode: str
    seat: str
    fork: CalleeFork | None = None
    timer: asyncio.TimerHandle | None = None

    @property
    def leg(self) -> Leg | None:
        """Its phone, once it has answered."""
        return self.fork.winner if self.fork else None

    def stop_clock(self) -> None:
        """It has answered, or is not waited for any more."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
