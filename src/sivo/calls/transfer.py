"""A transfer that is under way: who passes whom on to where, and what has been made for it so far."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sivo.calls.callee_fork import CalleeFork, Destination
from sivo.calls.legs import Leg

if TYPE_CHECKING:
    from sivo.routing.directory import Extension

BLIND, ATTENDED = "blind", "attended"
Tell = Callable[[int, str], None]


@dataclass(slots=True)
class Transfer:
    """``side`` is the seat (caller or callee) that ``by`` leaves and the target takes."""

    by: Leg
    side: str
    to: str
    how: str
    #: Name of the target's leg in media.
    seat: str
    tell: Tell
    fork: CalleeFork | None = None
    extension: Extension | None = None
    #: Whose phone it is that has answered.
    owner: Callable[[Destination], Extension | None] = lambda destination: None
    timer: asyncio.TimerHandle | None = None
    #: Who passed on has hung up; a failed transfer rings them again.
    gone: bool = False
    recall: bool = False
    over: bool = field(default=False)

    def finish(self) -> None:
        """Nothing more will come of it."""
        self.over = True
        if self.timer is not None:
            self.timer.cancel()
