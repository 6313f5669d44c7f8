"""How long anything may take, in milliseconds, and what happens when a conversation has had its share."""

from __future__ import annotations

from sivo.ai.engine import closing, effects, replies
from sivo.ai.engine.core import Core
from sivo.ai.engine.states import Kind, State

FRAME_MS = 20
#: A voice segment closes after this much silence.
VAD_STOP_MS = 200
#: Less voice than this (three windows) holds no word; it is not sent to speech-to-text.
MIN_TEXT_MS = 96
#: From here on an interim word can interrupt the agent (voice research 6.3).
EARLY_MS = 160
#: A segment is cut here so that no engine gets an endless one.
MAX_SEGMENT_MS = 30_000
#: The caller is told that something is coming when the agent has been silent for so long. Published: 2.5 s.
FILLER_MS = 2_000
#: No commit within this time after the voice ended: the agent goes on from the cut word.
RESUME_MS = 1_000
#: A pause between sentences longer than this counts as the agent having stopped.
GAP_MS = 200
#: How long the final text may take when there is interim text to fall back on, and when there is none.
STT_WITH_INTERIM_MS = 2_000
STT_MS = 6_000
LLM_FIRST_TOKEN_MS = 4_000
LLM_NEXT_TOKEN_MS = 5_000
TTS_FIRST_BYTE_MS = 4_000
TTS_NEXT_BYTE_MS = 3_000
#: A failed request is tried once more while so little time has passed since the end of speech.
RETRY_WITHIN_MS = 1_500
#: Wait for the next key.
DIGITS_MS = 1_500
#: The last frame must get through the phone's jitter buffer before the call is ended.
END_TAIL_MS = 200
#: The last words must be out by then.
CLOSING_MS = 30_000
#: How long a sentence may go on after ``max_duration_sec``.
DURATION_GRACE_MS = 8_000
#: The model is told to come to an end at this share of ``max_duration_sec``.
NEARLY_OVER = 0.9


def silence(core: Core) -> None:
    """The caller has said nothing for the silence timeout."""
    if core.state is not State.LISTENING:
        return
    if core.reprompts >= core.spec.max_reprompts:
        closing.say_goodbye(core, "silence")
        return
    core.reprompts += 1
    replies.say(core, Kind.REPROMPT, core.phrases.reprompt)


def duration(core: Core) -> None:
    """``max_duration_sec`` is over: finish the sentence that is being said, then close."""
    core.over_time = True
    if core.ending or core.state in (State.CLOSING, State.TRANSFERRING, State.ENDED):
        return
    reply = core.reply
    current = replies.playing(core)
    if reply is not None and current is not None and core.pause is None:
        reply.stop_after = current.number
        reply.interruptible = False
        core.timers["duration_grace"] = core.now + DURATION_GRACE_MS
        return
    cut_short(core)


def cut_short(core: Core) -> None:
    """Stop everything now and close because the time is over."""
    if core.ending or core.state is State.ENDED:
        return
    if core.reply is not None:
        replies.abandon(core)
    core.effect(effects.Clear())
    core.forget_caller()
    closing.say_goodbye(core, "max_duration")
