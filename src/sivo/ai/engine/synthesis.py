"""Results of speech synthesis: how much audio an utterance has, and when there will be no more."""

from __future__ import annotations

from sivo.ai.engine import failures, limits, replies
from sivo.ai.engine.core import Core
from sivo.ai.engine.events import Aligned, Audio, AudioDone, AudioFailed
from sivo.speech.alignment import word_ends


def on_audio(core: Core, event: Audio) -> None:
    """More audio of an utterance is in the queue."""
    utterance = replies.find(core, event.epoch, event.utterance)
    reply = core.reply
    if utterance is None or reply is None:
        return
    utterance.audio_ms += event.ms
    if reply.turn and not utterance.filler:
        reply.latency.setdefault("tts_first_byte", core.now - reply.user_end_ms)
    core.timers["tts"] = core.now + limits.TTS_NEXT_BYTE_MS


def on_aligned(core: Core, event: Aligned) -> None:
    """The provider says when words are heard: what was said to the caller is cut by that, not by an estimate."""
    utterance = replies.find(core, event.epoch, event.utterance)
    if utterance is not None:
        utterance.word_ends = word_ends(utterance.text, event.alignment)


def on_done(core: Core, event: AudioDone) -> None:
    """An utterance is complete; the next one, if any, is being made now."""
    utterance = replies.find(core, event.epoch, event.utterance)
    reply = core.reply
    if utterance is None or reply is None:
        return
    if utterance.audio_ms <= 0:
        failures.speaking(core, utterance, "garbage", "the answer holds no audio")
        return
    utterance.complete = True
    if all(item.complete for item in reply.utterances):
        core.timers.pop("tts", None)
    else:
        core.timers["tts"] = core.now + limits.TTS_FIRST_BYTE_MS


def on_failed(core: Core, event: AudioFailed) -> None:
    """Synthesis of an utterance failed."""
    utterance = replies.find(core, event.epoch, event.utterance)
    if utterance is not None and not utterance.complete:
        failures.speaking(core, utterance, event.cause, event.detail)
