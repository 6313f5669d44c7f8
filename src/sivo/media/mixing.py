"""More than two on the line: which leg hears which others beside whom it is bridged with, one row a leg.

A guest (a supervisor, a third party) hears the legs of its row; the legs that hear it have it added to what they hear
anyway. Listening silently, whispering to one side, barging in and a call of three differ in nothing but the row.
"""

from __future__ import annotations

import audioop
from collections.abc import Iterable
from dataclasses import dataclass

from sivo.media.jitter import Frame, Kind


@dataclass(frozen=True, slots=True)
class Row:
    """``hears``: legs, and ``agent`` for an AI agent's voice; ``heard_by``: legs; ``recorded``: the guest takes part in
    the conversation and belongs on the agent's channel."""

    hears: frozenset[str]
    heard_by: frozenset[str]
    recorded: bool


class Mix:
    """The rows of one session."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}

    def sources(self, leg: str) -> set[str]:
        """Who is added to what ``leg`` hears."""
        heard = {guest for guest, row in self.rows.items() if leg in row.heard_by}
        own = self.rows.get(leg)
        return (heard | own.hears if own is not None else heard) - {leg}

    def forget(self, leg: str) -> None:
        """A leg has left; rows of others that name it mean nobody by that name."""
        self.rows.pop(leg, None)

    @property
    def recorded(self) -> list[str]:
        """Guests whose voice belongs into the record."""
        return [guest for guest, row in self.rows.items() if row.recorded]


def add(voices: Iterable[bytes]) -> bytes | None:
    """PCM16 of all of them at once, clipped at full scale; None when nobody says anything."""
    total: bytes | None = None
    for voice in voices:
        total = voice if total is None else audioop.add(total, voice, 2)
    return total


def said(frame: Frame | None) -> bytes | None:
    """What a leg said in this tick, None for nothing."""
    return frame.pcm16 if frame is not None and frame.kind is not Kind.SILENCE else None
