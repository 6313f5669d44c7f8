"""The caller's voice: windows become segments, a segment's place decides what it may do, its text comes later."""

from __future__ import annotations

from sivo.ai.engine import barge_in, cooldown, effects, endpointing, failures, limits
from sivo.ai.engine.core import Core
from sivo.ai.engine.events import Heard, HeardFailed, Voice
from sivo.ai.engine.states import Place, State, UserTurn, VoiceSegment
from sivo.ai.words import words
from sivo.media.protocol import Segment

_DEAF = (State.CONNECTING, State.TRANSFERRING, State.CLOSING, State.ENDED)


def on_voice(core: Core, event: Voice) -> None:
    """One VAD window. A window that looks like the agent's echo counts as silence."""
    if core.state in _DEAF:
        return
    if event.voiced and not event.echo:
        _voiced(core, event)
    elif core.segment is not None and event.at_ms - core.segment.end_ms >= limits.VAD_STOP_MS:
        close(core, core.segment)


def _voiced(core: Core, event: Voice) -> None:
    core.last_voice_ms = event.at_ms
    segment = core.segment
    if segment is None:
        segment = _open(core, event.at_ms - event.length_ms)
    segment.end_ms = event.at_ms
    segment.voiced_ms += event.length_ms
    if segment.place in (Place.DEFERRED, Place.IGNORED):
        _promote(core, segment)
    if segment.place is Place.OVER:
        barge_in.weigh(core, segment)
    if segment.end_ms - segment.start_ms >= limits.MAX_SEGMENT_MS and core.segment is segment:
        close(core, segment)


def _open(core: Core, start_ms: float) -> VoiceSegment:
    core.segment_count += 1
    segment = VoiceSegment(core.segment_count, place_of(core, start_ms), start_ms, start_ms, epoch=core.epoch)
    core.segment = segment
    if segment.place is not Place.IGNORED:
        listen(core, segment)
    if segment.place is Place.TURN:
        join_turn(core, segment)
    return segment


def place_of(core: Core, start_ms: float) -> Place:
    """What a voice that starts now may do."""
    if core.state is State.COOLDOWN:
        return Place.DEFERRED
    if core.reply is None:
        return Place.TURN
    if not barge_in.may_interrupt(core.reply):
        return Place.IGNORED
    silent = not core.agent_audible(limits.GAP_MS)
    if silent and core.state in (State.SPEAKING, State.GREETING) and start_ms < cooldown.ends(core):
        return Place.DEFERRED
    return Place.OVER


def _promote(core: Core, segment: VoiceSegment) -> None:
    """A deferred or ignored voice that goes on when nothing stands against it any more opens with its true start."""
    if segment.place is Place.DEFERRED and core.now < cooldown.ends(core):
        return
    place = place_of(core, core.now)
    if place in (Place.DEFERRED, Place.IGNORED):
        return
    segment.place = place
    segment.epoch = core.epoch
    listen(core, segment)
    if place is Place.TURN:
        join_turn(core, segment)


def listen(core: Core, segment: VoiceSegment) -> None:
    """Let speech-to-text take the segment (once)."""
    if not segment.sent:
        segment.sent = True
        core.effect(effects.Listen(segment.number, segment.start_ms))


def join_turn(core: Core, segment: VoiceSegment) -> None:
    """The segment is (part of) what the caller wants to say."""
    segment.place = Place.TURN
    if core.turn is None:
        core.turn = UserTurn(segment.start_ms)
    core.turn.start_ms = min(core.turn.start_ms, segment.start_ms)
    if segment not in core.turn.segments:
        core.turn.segments.append(segment)
    for name in ("silence", "commit"):
        core.timers.pop(name, None)
    core.enter(State.ENDPOINTING if segment.closed and core.segment is None else State.USER_SPEAKING)


def close(core: Core, segment: VoiceSegment) -> None:
    """The voice has ended (200 ms of silence)."""
    segment.closed = True
    segment.closed_at = core.now
    core.segment = None
    if segment.place is Place.IGNORED:
        core.ignored_to_ms = segment.end_ms
        return
    if segment.voiced_ms < limits.MIN_TEXT_MS:
        core.effect(effects.Unlisten(segment.number))
        segment.final = ""
        if segment.place is Place.TURN:
            core.enter(State.ENDPOINTING)
            endpointing.evaluate(core)
        return
    core.pending[segment.number] = segment
    core.count("stt_audio_ms", segment.end_ms - segment.start_ms)
    core.effect(effects.Transcribe(segment.number, segment.end_ms))
    if segment.place is Place.TURN:
        core.enter(State.ENDPOINTING)


def on_text(core: Core, event: Heard) -> None:
    """Interim or final text of a segment; of a segment that nobody waits for it is dropped."""
    if event.segment is None:
        _text_without_voice(core, event)
        return
    segment = core.pending.get(event.segment)
    if segment is None and core.segment is not None and core.segment.number == event.segment:
        segment = core.segment
    if segment is None:
        return
    if not event.final or not segment.closed:
        segment.interim = event.text
        core.effect(effects.Tell("interim", {"speaker": "caller", "text": event.text}))
        if segment.place is Place.OVER:
            barge_in.weigh(core, segment)
        return
    settle(core, segment, event.text)


def settle(core: Core, segment: VoiceSegment, text: str) -> None:
    """The final text of a closed segment is known (empty: there was none)."""
    segment.final = text.strip() if words(text) else ""
    segment.final_at = core.now
    core.pending.pop(segment.number, None)
    if segment.place is Place.TURN:
        endpointing.evaluate(core)
    elif segment.place is Place.OVER:
        barge_in.on_final(core, segment)
    elif segment.place is Place.DEFERRED:
        cooldown.on_final(core, segment)


def on_failed(core: Core, event: HeardFailed) -> None:
    """Speech-to-text failed for a segment."""
    segment = core.pending.get(event.segment)
    if segment is not None:
        failures.hearing(core, segment, event.cause, event.detail)


def adopt(core: Core, segment: VoiceSegment) -> None:
    """Text has shown that a closed segment outside a turn was meant as one."""
    join_turn(core, segment)
    endpointing.evaluate(core)


def transcript(core: Core, segment: VoiceSegment, turn: int | None) -> None:
    """State what the caller said as a fact."""
    if segment.text:
        core.report(
            Segment(
                segment=f"c{segment.number}",
                speaker="caller",
                text=segment.text,
                start_ms=int(segment.start_ms),
                end_ms=int(segment.end_ms),
                language=core.spec.stt.language,
                turn=turn,
            )
        )


def _text_without_voice(core: Core, event: Heard) -> None:
    """Words where our VAD heard nothing (a very soft "sí"): they open a turn all the same."""
    if not event.final or not words(event.text) or core.state not in (State.LISTENING, State.COOLDOWN):
        return
    if event.end_ms is not None and event.end_ms <= core.ignored_to_ms + limits.VAD_STOP_MS:
        return  # a streaming engine hears also what was said while nobody might interrupt
    core.segment_count += 1
    segment = VoiceSegment(core.segment_count, Place.DEFERRED, core.now - limits.VAD_STOP_MS, core.now)
    segment.closed, segment.closed_at = True, core.now
    settle(core, segment, event.text)
