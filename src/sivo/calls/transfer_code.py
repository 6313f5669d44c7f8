"""Passing a call on with the keys of the phone: the code of the extension, the number, and ``#`` ("*2101#").

Keys count however they came (RFC 4733, INFO). They reach the other side as well, as every key does.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sivo.calls.call import Call
from sivo.calls.legs import Leg
from sivo.calls.media_session import CALLER
from sivo.media.protocol import Digit, Fact

#: Milliseconds between two keys after which what was pressed before is forgotten.
PAUSE_MS = 5000
#: Longest number that is waited for.
MOST_DIGITS = 20
END = "#"


class CodeReader:
    """Finds ``code``, a number and ``#`` among the keys of one person."""

    def __init__(self, code: str) -> None:
        self._code = code
        self._typed = ""
        self._at_ms = 0

    def press(self, key: str, at_ms: int) -> str | None:
        """Take one key, pressed at ``at_ms``; the number when it is the last one of a whole code."""
        if at_ms - self._at_ms > PAUSE_MS:
            self._typed = ""
        self._at_ms = at_ms
        within, number = self._typed.startswith(self._code), self._typed[len(self._code) :]
        if within and key == END and number:
            self._typed = ""
            return number
        if within and key.isdigit() and len(number) < MOST_DIGITS:
            self._typed += key
            return None
        typed = ("" if within else self._typed) + key
        while typed and not self._code.startswith(typed):
            typed = typed[1:]
        self._typed = typed
        return None


@dataclass(slots=True)
class Typing:
    """What the person in one seat has pressed so far."""

    extension: UUID
    reader: CodeReader
    #: Number of the newest key: a fact may be told again after the line to media broke.
    seq: int = 0


def wanted(call: Call, fact: Fact, key: Digit) -> tuple[Leg, str, str] | None:
    """Who asks with this key to pass the call on, from which seat, and to which number; mostly nobody."""
    names = call.media.names if call.media is not None else {}
    side = next((side for side, name in names.items() if name == key.leg), None)
    extension = call.caller_extension if side == CALLER else call.callee_extension
    leg = call.party(side) if side is not None else None
    if side is None or leg is None or extension is None or not extension.transfer_code:
        return None
    typing = call.typing.get(side)
    if typing is None or typing.extension != extension.id:
        typing = call.typing[side] = Typing(extension.id, CodeReader(extension.transfer_code))
    if fact.seq <= typing.seq:
        return None
    typing.seq = fact.seq
    to = typing.reader.press(key.digit, fact.at)
    return (leg, side, to) if to else None
