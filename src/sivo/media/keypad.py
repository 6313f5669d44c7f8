"""Keys of one phone, whichever way they come: telephone events, SIP INFO, or as sound. Each press counts once.

Some phones send a key twice, in RTP and as INFO, and the sound of a key may leak into the audio beside its event. The
same key from another way within :data:`SAME_S` is the same press.
"""

from __future__ import annotations

from enum import Enum

from sivo.media.dtmf import Press

SAME_S = 0.6


class Way(Enum):
    """How a key came."""

    EVENT = "event"
    INFO = "info"
    SOUND = "sound"


class Keypad:
    """Collects presses of a leg. Once a telephone event has come, sound is not listened to any more."""

    def __init__(self) -> None:
        self._presses: list[tuple[Press, Way]] = []
        #: Presses that have come one way only so far, oldest first.
        self._single: list[tuple[str, Way, float]] = []
        self._events = False

    @property
    def listens(self) -> bool:
        """Whether keys in the sound still count."""
        return not self._events

    def put(self, press: Press, way: Way, now: float) -> None:
        """A press that is over at ``now``."""
        self._events = self._events or way is Way.EVENT
        self._single = [one for one in self._single if now - one[2] < SAME_S]
        for known in self._single:
            if known[0] == press.digit and known[1] is not way:
                self._single.remove(known)
                return
        self._single.append((press.digit, way, now))
        self._presses.append((press, way))

    def take(self) -> list[tuple[Press, Way]]:
        """Presses since this was last asked, each once."""
        presses, self._presses = self._presses, []
        return presses
