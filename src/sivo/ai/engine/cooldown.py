"""``barge_in_cooldown_ms``: right after the agent's last frame a voice may be its echo, so it is deferred, not lost."""

from __future__ import annotations

from sivo.ai.engine import barge_in, segments
from sivo.ai.engine.core import Core
from sivo.ai.engine.states import Place, State, VoiceSegment
from sivo.ai.words import echoes


def ends(core: Core) -> float:
    """When the window after the last agent frame ends."""
    return core.last_agent_ms + core.spec.barge_in_cooldown_ms


def begin(core: Core) -> None:
    """The agent has finished and it is the caller's turn."""
    core.cooldown_until = ends(core)
    if core.segment is not None and core.segment.place is Place.OVER:
        # A voice that began while the agent spoke is not affected by the window.
        segments.join_turn(core, core.segment)
    elif core.now < core.cooldown_until:
        core.enter(State.COOLDOWN)
        core.timers["cooldown"] = core.cooldown_until
    else:
        listen(core)


def listen(core: Core) -> None:
    """The window is over (or there was none)."""
    core.timers.pop("cooldown", None)
    core.enter(State.LISTENING)
    core.timers["silence"] = core.now + core.spec.silence_timeout_ms


def on_final(core: Core, segment: VoiceSegment) -> None:
    """Text of a voice that lay wholly inside the window. Without words it was a noise; words that repeat the end of
    what the agent said are its echo; anything else is a fast answer."""
    if not segment.final or echoes(segment.final, core.last_agent_text):
        return
    if core.reply is not None:
        segment.epoch = core.reply.epoch
        barge_in.on_final(core, segment)
    else:
        segments.adopt(core, segment)
