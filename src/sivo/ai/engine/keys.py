"""DTMF is a way to take a turn: digits join the caller's words, ``#`` ends them."""

from __future__ import annotations

from sivo.ai.engine import barge_in, endpointing, limits
from sivo.ai.engine.core import Core
from sivo.ai.engine.states import State, UserTurn

_DEAF = (State.CONNECTING, State.TRANSFERRING, State.CLOSING, State.ENDED)


def on_key(core: Core, digit: str) -> None:
    """One key. It interrupts the agent at once, where the agent may be interrupted."""
    if core.state in _DEAF:
        return
    if core.reply is not None:
        if not barge_in.may_interrupt(core.reply):
            return
        barge_in.commit(core, None)
    if core.turn is None:
        core.turn = UserTurn(core.now)
    core.turn.digits_at = core.now
    for name in ("silence", "cooldown", "commit", "digits"):
        core.timers.pop(name, None)
    if core.segment is None:
        core.enter(State.ENDPOINTING)
    if digit == "#" and core.turn.digits:
        endpointing.evaluate(core)
        return
    core.turn.digits += digit
    core.timers["digits"] = core.now + limits.DIGITS_MS
