"""When the caller has finished: all text is there and the hold time that the text asks for is over."""

from __future__ import annotations

from sivo.ai.engine import cooldown, limits, replies, segments
from sivo.ai.engine.core import Core
from sivo.ai.engine.states import Kind, State, UserTurn
from sivo.ai.words import is_complete, is_unfinished

#: Hold after the 200 ms of silence: for a complete sentence, for one that will go on, for anything between.
HOLD_COMPLETE_MS, HOLD_UNFINISHED_MS, HOLD_MS = 0, 800, 250


def hold_ms(text: str, language: str) -> int:
    """How long to wait for more after ``text`` (voice research 6.4)."""
    if is_complete(text, language):
        return HOLD_COMPLETE_MS
    return HOLD_UNFINISHED_MS if is_unfinished(text, language) else HOLD_MS


def evaluate(core: Core) -> None:
    """Look at the turn again after something about it changed; goes on, waits or drops it."""
    turn = core.turn
    if turn is None or turn.waiting or "digits" in core.timers:
        return
    if core.segment is not None and core.segment.number in [segment.number for segment in turn.segments]:
        return
    text = turn.text
    if text:
        ready = turn.end_ms if turn.digits else turn.end_ms + limits.VAD_STOP_MS + hold_ms(text, core.spec.language)
        if core.now < ready:
            core.timers["commit"] = ready
        else:
            _commit(core, turn, text)
    elif turn.interrupted is not None:
        _settled(core)
        replies.replay(core, turn.interrupted)
    elif any(segment.voiced_ms >= core.spec.speech_min_ms for segment in turn.segments):
        _commit(core, turn, "")
    else:
        _settled(core)
        _drop(core)


def _settled(core: Core) -> None:
    core.turn = None
    core.timers.pop("commit", None)


def _drop(core: Core) -> None:
    """It was a noise: no turn."""
    if core.reply is not None:
        core.reply.text_complete = True  # only a filler was said
        replies.check_finished(core)
    elif core.state in (State.USER_SPEAKING, State.ENDPOINTING):
        cooldown.listen(core)


def _commit(core: Core, turn: UserTurn, text: str) -> None:
    """A user turn. Empty ``text``: a sound long enough to be an utterance that nobody could understand."""
    _settled(core)
    core.reprompts = 0
    reply = core.reply if core.reply is not None and core.reply.awaits_text else replies.new(core, Kind.ANSWER)
    reply.awaits_text = False
    reply.turn = core.turns + 1
    before, start = core.carried or ("", turn.start_ms)
    reply.user_text = f"{before} {text}".strip()
    reply.user_start_ms = min(start, turn.start_ms)
    reply.user_end_ms = turn.end_ms
    # The last reply is spoken whole: an interruption would be one turn more than allowed.
    reply.interruptible = reply.turn < core.spec.max_turns
    _measure(core, turn, reply.latency)
    for segment in turn.segments:
        segments.transcript(core, segment, reply.turn)
    core.enter(State.THINKING)
    if text:
        core.context.user(text)
        replies.ask(core, reply)
    else:
        reply.kind = Kind.NOT_UNDERSTOOD
        reply.text_complete = True
        replies.speak(core, reply, core.phrases.not_understood)


def _measure(core: Core, turn: UserTurn, latency: dict[str, float]) -> None:
    closed = [segment.closed_at for segment in turn.segments]
    final = [segment.final_at for segment in turn.segments]
    latency["endpointing"] = max(0.0, max(closed, default=turn.end_ms) - turn.end_ms)
    latency["stt"] = max(latency["endpointing"], max(final, default=turn.end_ms) - turn.end_ms)
    latency["committed"] = core.now - turn.end_ms
