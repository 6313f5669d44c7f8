"""Who sits where in a call: a phone takes the seat of another, with its audio, its recording channel and its rows."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from sivo.base.clock import Clock
from sivo.calls import causes
from sivo.calls.call import Call
from sivo.calls.callee_fork import Branch
from sivo.calls.legs import Leg
from sivo.calls.media_session import CALLEE
from sivo.calls.transfer import Transfer
from sivo.sip.offer_answer import AudioStream


class Seating:
    """``noted`` writes a phone's dialog down; ``recapture`` decides anew what is kept, ``changed`` hears of it."""

    def __init__(
        self,
        clock: Clock,
        noted: Callable[[Call, Leg, AudioStream | None], None],
        recapture: Callable[[Call, str], None],
        changed: Callable[[Call], None],
    ) -> None:
        self._clock = clock
        self._noted = noted
        self._recapture = recapture
        self._changed = changed

    def take(self, call: Call, transfer: Transfer, leg: Leg, stream: AudioStream) -> None:
        """``leg`` takes the seat that the transfer is about; who sat there gets a BYE."""
        if call.media is None or call.ended:
            return
        before, side = transfer.by, transfer.side
        call.seats[side] = leg
        old = call.media.names[side]
        call.media.names[side] = transfer.seat
        call.media.set_remote(side, stream, leg.peer)
        call.media.bridge()
        call.media.remove_leg(old)
        self._changed(call)
        before.send_bye(causes.NORMAL)
        leg_id = leg_id_of(call, before)
        if leg_id is not None:
            call.writer.leg_state(leg_id, "ended", ended_at=self._clock.now())
        if side == CALLEE:
            call.callee_extension = transfer.extension
        else:
            call.caller_extension = transfer.extension
        self._noted(call, leg, stream)
        self._recapture(call, "bridge")
        call.writer.transferred(transfer, transfer.to, done=True)


def leg_id_of(call: Call, leg: Leg) -> UUID | None:
    """The row of a phone in this call."""
    if leg is call.caller:
        return call.caller_leg_id
    return call.leg_ids.get(id(leg)) or (leg.id if isinstance(leg, Branch) else None)
