"""Interruption in two stages (design, section 4 Voice).

PAUSE when voiced time reaches ``speech_min_ms``: the audio stops, queue and model stay. COMMIT on a word that is no
backchannel (from 160 ms of voice on) or at 2 x ``speech_min_ms``: cancel, truncate what was said to what was played. No
commit within 1.0 s after the voice ended: go on from the cut word.
"""

from __future__ import annotations

from sivo.ai.context import cut
from sivo.ai.engine import effects, endpointing, limits, replies, segments
from sivo.ai.engine.core import Core, PauseOfAgent
from sivo.ai.engine.states import Kind, Reply, State, UserTurn, VoiceSegment
from sivo.ai.words import is_backchannel, words
from sivo.media.protocol import Interruption


def weigh(core: Core, segment: VoiceSegment) -> None:
    """Decide what a voice over the agent does, after more of it or new interim text."""
    reply = core.reply
    if reply is None or not may_interrupt(reply):
        return
    minimum = core.spec.speech_min_ms
    if (speaks(core, segment) and segment.voiced_ms >= limits.EARLY_MS) or segment.voiced_ms >= 2 * minimum:
        commit(core, segment)
    elif segment.voiced_ms >= minimum:
        if any(utterance.start_ms is not None for utterance in reply.utterances):
            _pause(core, segment)
        else:
            commit(core, segment)  # nothing was heard of the reply: the caller simply goes on


def may_interrupt(reply: Reply) -> bool:
    """Before any of an answer was heard the caller may always go on speaking, also in the last turn."""
    begun = any(utterance.start_ms is not None for utterance in reply.utterances)
    return reply.interruptible or (reply.kind is Kind.ANSWER and not begun and not reply.failure)


def speaks(core: Core, segment: VoiceSegment) -> bool:
    """Whether its text holds a word that is no backchannel."""
    return bool(words(segment.text)) and not is_backchannel(segment.text, core.spec.language)


def _pause(core: Core, segment: VoiceSegment) -> None:
    if core.pause is None:
        core.pause = PauseOfAgent(core.now, segment.voiced_ms)
        core.effect(effects.Pause())
    core.pause.voiced_ms = max(core.pause.voiced_ms, segment.voiced_ms)


def check_resume(core: Core) -> None:
    """A false alarm: the voice ended 1.0 s ago and nothing was committed."""
    if core.pause is None or core.reply is None or core.now - core.last_voice_ms < limits.RESUME_MS:
        return
    begun = [utterance for utterance in core.reply.utterances if utterance.start_ms is not None]
    current = begun[-1]
    heard = cut(current.text, current.audio_ms, current.played_ms, complete=current.complete, ends=current.word_ends)
    core.effect(effects.Resume(current.number, heard.resume_ms))
    core.report(
        Interruption(
            at_ms=int(core.pause.at_ms),
            outcome="resumed",
            voiced_ms=int(core.pause.voiced_ms),
            played_ms=int(sum(utterance.played_ms for utterance in core.reply.spoken)),
            text_played=replies.heard_text(core.reply),
        )
    )
    core.pause = None


def on_final(core: Core, segment: VoiceSegment) -> None:
    """Final text of a voice that began over the agent."""
    if not segment.final:
        return
    reply = core.reply
    if reply is None:
        segments.adopt(core, segment)  # the agent has finished meanwhile: any word is an answer
    elif reply.epoch == segment.epoch and may_interrupt(reply) and _interrupts(core, segment):
        commit(core, segment)
    else:
        segments.transcript(core, segment, None)


def _interrupts(core: Core, segment: VoiceSegment) -> bool:
    return segment.voiced_ms >= limits.EARLY_MS and speaks(core, segment)


def commit(core: Core, segment: VoiceSegment | None) -> None:
    """The caller takes the turn (``segment`` None: by a key)."""
    reply = core.reply
    if reply is None:
        return
    begun = any(utterance.start_ms is not None for utterance in reply.utterances)
    played = int(sum(utterance.played_ms for utterance in reply.spoken))
    at = core.pause.at_ms if core.pause else core.now
    core.effect(effects.Clear())
    text = replies.abandon(core)
    if begun:
        core.report(
            Interruption(
                at_ms=int(at),
                outcome="committed",
                voiced_ms=int(segment.voiced_ms) if segment else 0,
                played_ms=played,
                text_played=text,
            )
        )
    if core.turn is None:
        core.turn = UserTurn(segment.start_ms if segment else core.now)
    if not reply.awaits_text:
        core.turn.interrupted = reply
    if segment is None:
        core.enter(State.ENDPOINTING)
        return
    segments.join_turn(core, segment)
    if segment.closed:
        endpointing.evaluate(core)
