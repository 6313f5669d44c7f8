"""Two legs that hear each other."""

from __future__ import annotations

from sivo.media import codec
from sivo.media.jitter import Frame, Kind
from sivo.media.leg import Leg


class Bridge:
    """Connects two legs; what one says goes to the other in the same tick, taps are taken before."""

    def __init__(self, a: Leg, b: Leg) -> None:
        if a is b:
            raise ValueError(f"leg {a.id} cannot be bridged with itself")
        self.a = a
        self.b = b

    def peer(self, leg: Leg) -> Leg | None:
        """The other one; None when ``leg`` is not part of the bridge."""
        if leg is self.a:
            return self.b
        return self.a if leg is self.b else None

    def relay(self, leg: Leg, digit: str) -> None:
        """Pass a key that was pressed on ``leg`` and is not in its audio on to the other, as that takes keys."""
        peer = self.peer(leg)
        if peer is not None:
            peer.press(digit)


def payload_for(payload_type: int, frame: Frame) -> bytes:
    """A heard frame in the codec of the leg that it goes to: untouched when it is the same, else transcoded."""
    if frame.kind is Kind.SILENCE:
        return codec.silence(payload_type)
    return frame.payload if frame.payload_type == payload_type else codec.encode(payload_type, frame.pcm16)
