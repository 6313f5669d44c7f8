"""When each character of a sentence is heard, as far as the provider says so."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_TAG = re.compile(r"\[[^\]\n]{1,40}\]")


@dataclass(frozen=True, slots=True)
class Alignment:
    """Characters and the moment (ms from the start of the utterance) at which each of them has been heard."""

    characters: str
    ends_ms: tuple[float, ...]


@dataclass(slots=True)
class AlignmentClock:
    """Joins the alignments of the messages of one utterance.

    The times of ElevenLabs restart at zero in every message (elevenlabs.io/docs, "Multi-context websocket"): the span
    of each message is added to a clock.
    """

    _offset_ms: float = 0.0
    _characters: list[str] = field(default_factory=list)
    _ends: list[float] = field(default_factory=list)

    def add(self, characters: list[str], starts_ms: list[float], durations_ms: list[float]) -> Alignment:
        """One message; gives the alignment of everything so far. ``ValueError`` for lists that do not fit together."""
        if not len(characters) == len(starts_ms) == len(durations_ms):
            raise ValueError("characters, start times and durations of an alignment differ in number")
        span = 0.0
        for sign, start, duration in zip(characters, starts_ms, durations_ms, strict=True):
            span = max(span, start + duration)
            for letter in sign:
                self._characters.append(letter)
                self._ends.append(self._offset_ms + start + duration)
        self._offset_ms += span
        return Alignment("".join(self._characters), tuple(self._ends))


def word_ends(text: str, alignment: Alignment) -> list[float]:
    """For each word of ``text`` the moment at which it has been heard; shorter than the words when the alignment does
    not reach that far, empty when it tells of another text.

    Providers add, drop and merge spaces, and audio tags are no part of ``text``: letters are compared without them.
    """
    spoken = _without_tags(alignment)
    ends: list[float] = []
    place = 0
    for word in text.split():
        for letter in word:
            if place >= len(spoken):
                return ends
            if spoken[place][0] != letter:
                return []
            place += 1
        ends.append(spoken[place - 1][1])
    return ends


def _without_tags(alignment: Alignment) -> list[tuple[str, float]]:
    hidden = [False] * len(alignment.characters)
    for tag in _TAG.finditer(alignment.characters):
        hidden[tag.start() : tag.end()] = [True] * (tag.end() - tag.start())
    return [
        (sign, end)
        for sign, end, hide in zip(alignment.characters, alignment.ends_ms, hidden, strict=True)
        if not hide and not sign.isspace()
    ]
