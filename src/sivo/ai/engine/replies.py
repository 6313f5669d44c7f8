"""The agent's side: model text becomes utterances, utterances become frames, and what was heard becomes the truth."""

from __future__ import annotations

from sivo.ai.context import cut
from sivo.ai.contract import ContractBroken
from sivo.ai.engine import closing, cooldown, effects, failures, limits
from sivo.ai.engine.core import Core
from sivo.ai.engine.events import Token, TokensDone
from sivo.ai.engine.states import Kind, Reply, State, Utterance
from sivo.ai.prompt import NEARLY_OVER
from sivo.ai.sentences import SentenceCutter, clean, speakable
from sivo.media.protocol import Segment, Turn
from sivo.speech.elevenlabs import takes_tags


def new(core: Core, kind: Kind) -> Reply:
    """Begin a generation of agent speech under a new epoch."""
    core.epoch += 1
    core.reply = Reply(core.epoch, kind, begun_at=core.now, cutter=SentenceCutter(core.spec.language))
    return core.reply


def ask(core: Core, reply: Reply) -> None:
    """Ask the model for this reply."""
    nearly = core.now >= core.spec.max_duration_sec * 1000 * limits.NEARLY_OVER
    reply.requested_at = core.now
    core.count("llm_requests", 1)
    core.effect(effects.Ask(reply.epoch, core.context.messages(NEARLY_OVER if nearly else "")))
    core.timers["llm"] = core.now + limits.LLM_FIRST_TOKEN_MS


def say(core: Core, kind: Kind, text: str) -> Reply:
    """Say something of our own, whole, without the model."""
    reply = new(core, kind)
    cutter = reply.cutter
    pieces = [*cutter.feed(text), *cutter.flush()] if kind is Kind.GREETING else [text]
    for piece in pieces:
        speak(core, reply, piece, keep=True)
    reply.text_complete = True
    core.enter(State.GREETING if kind is Kind.GREETING else State.SPEAKING)
    for name in ("silence", "cooldown"):
        core.timers.pop(name, None)
    check_finished(core)
    return reply


def speak(core: Core, reply: Reply, text: str, *, filler: bool = False, keep: bool = False) -> None:
    """Queue one utterance; what makes no sound is left out."""
    plain = clean(text)
    if not speakable(plain):
        return
    # Whether they are performed or left out is decided for the voice that says it in the end.
    spoken = clean(text, keep_tags=any(takes_tags(stage.model) for stage in core.voices))
    utterance = _add(core, reply, plain, filler)
    core.effect(effects.Speak(reply.epoch, utterance.number, spoken, urgent=filler, keep=keep))
    core.timers.setdefault("tts", core.now + limits.TTS_FIRST_BYTE_MS)


def tone(core: Core, reply: Reply, *, filler: bool = False) -> None:
    """Queue the neutral tone: no word can be spoken."""
    utterance = _add(core, reply, "", filler)
    core.effect(effects.Tone(reply.epoch, utterance.number))


def _add(core: Core, reply: Reply, text: str, filler: bool) -> Utterance:
    core.utterance_count += 1
    utterance = Utterance(core.utterance_count, text, filler, requested_at=core.now)
    reply.utterances.append(utterance)
    return utterance


# --- text arrives ---------------------------------------------------------------------------------------------------


def on_token(core: Core, event: Token) -> None:
    """A piece of model output; of a dead epoch it is dropped."""
    reply = core.reply
    if reply is None or reply.epoch != event.epoch or reply.text_complete:
        return
    if reply.token_at is None:
        reply.token_at = core.now
        reply.latency["llm_first_token"] = core.now - reply.user_end_ms
    core.timers["llm"] = core.now + limits.LLM_NEXT_TOKEN_MS
    try:
        pieces = reply.cutter.feed(reply.parser.feed(event.text))
    except ContractBroken as error:
        failures.thinking(core, "garbage", str(error))
        return
    for piece in pieces:
        speak(core, reply, piece)


def on_tokens_done(core: Core, event: TokensDone) -> None:
    """The model has finished: its action and variables count now."""
    reply = core.reply
    if reply is None or reply.epoch != event.epoch or reply.text_complete:
        return
    core.timers.pop("llm", None)
    try:
        answer = reply.parser.finish()
    except ContractBroken as error:
        failures.thinking(core, "garbage", str(error))
        return
    for piece in reply.cutter.flush():
        speak(core, reply, piece)
    reply.action, reply.variables = answer.action, answer.variables
    core.variables.update({key: value for key, value in answer.variables.items() if not key.startswith("_")})
    if not reply.spoken and answer.action == "continue":
        failures.thinking(core, "garbage", "the answer has no words")
        return
    reply.text_complete = True
    check_finished(core)


# --- audio leaves ---------------------------------------------------------------------------------------------------


def find(core: Core, epoch: int, number: int) -> Utterance | None:
    """The utterance of the living epoch, or None."""
    if core.reply is None or core.reply.epoch != epoch:
        return None
    return next((item for item in core.reply.utterances if item.number == number), None)


def playing(core: Core) -> Utterance | None:
    """The utterance that has begun and not finished."""
    if core.reply is None:
        return None
    return next((item for item in core.reply.utterances if item.start_ms is not None and not item.finished), None)


def on_frame(core: Core, utterance: Utterance, offset_ms: float, duration_ms: float, last: bool) -> None:
    """A frame of the living epoch was sent."""
    reply = core.reply
    assert reply is not None
    if duration_ms > 0:
        core.last_agent_ms = core.now
        utterance.played_ms = offset_ms + duration_ms
        utterance.end_ms = core.now
        if utterance.start_ms is None:
            _first_frame(core, reply, utterance)
    if last and not utterance.finished:
        utterance.finished = True
        if utterance.start_ms is not None:
            core.last_agent_text = utterance.text or core.last_agent_text
            _transcript(core, reply, utterance, _heard(utterance))
        if reply.stop_after == utterance.number and not reply.finished:
            limits.cut_short(core)
            return
    check_finished(core)


def _first_frame(core: Core, reply: Reply, utterance: Utterance) -> None:
    first = not utterance.filler and not reply.started
    utterance.start_ms = core.now - limits.FRAME_MS
    if first:
        if reply.turn:
            reply.latency["first_frame"] = core.now - reply.user_end_ms
        if core.state is State.THINKING:
            core.enter(State.SPEAKING)


def check_finished(core: Core) -> None:
    """Go on when everything of the reply was said."""
    reply = core.reply
    if reply is None or not reply.finished:
        return
    if reply.failure:
        failures.apologise(core, reply.failure)
        return
    _settle(core, reply, interrupted=False)
    closing.after(core, reply)


# --- what was heard becomes the truth -------------------------------------------------------------------------------


def heard_text(reply: Reply) -> str:
    """The words of the reply that were heard so far."""
    return " ".join(filter(None, (_heard(utterance) for utterance in reply.spoken)))


def _heard(utterance: Utterance) -> str:
    if utterance.start_ms is None or not utterance.text:
        return ""
    if utterance.finished and utterance.complete:
        return utterance.text
    return cut(
        utterance.text, utterance.audio_ms, utterance.played_ms, complete=utterance.complete, ends=utterance.word_ends
    ).text


def abandon(core: Core) -> str:
    """End the reply where it is: cancel what is still being made, keep what was heard. Returns that text.

    The caller of this function clears the play-out.
    """
    reply = core.reply
    assert reply is not None
    core.effect(effects.Cancel(reply.epoch))
    for utterance in reply.utterances:
        if utterance.start_ms is not None and not utterance.finished:
            _transcript(core, reply, utterance, _heard(utterance))
    text = heard_text(reply)
    _settle(core, reply, interrupted=True)
    return text


def fail(core: Core) -> None:
    """The reply cannot go on. Its turn is stated with what was heard of it, so that the trace shows it."""
    reply = core.reply
    assert reply is not None
    core.effect(effects.Cancel(reply.epoch))
    _settle(core, reply, interrupted=False)


def _settle(core: Core, reply: Reply, *, interrupted: bool) -> None:
    text = heard_text(reply)
    known = reply.variables if reply.kind in (Kind.ANSWER, Kind.REPLAY) and reply.text_complete else None
    core.context.agent(text, "continue" if interrupted else reply.action, known)
    if text:
        core.last_agent_text = text
    if reply.turn and (text or not interrupted):
        core.turns = max(core.turns, reply.turn)
        core.carried = None
        _report_turn(core, reply, text, interrupted)
    elif reply.turn:
        core.carried = (reply.user_text, reply.user_start_ms)
    core.reply = None
    if core.pause is not None:
        core.effect(effects.Clear())  # a paused play-out would hold back whatever is said next
        core.pause = None
    for name in ("llm", "tts", "duration_grace"):
        core.timers.pop(name, None)


def _report_turn(core: Core, reply: Reply, text: str, interrupted: bool) -> None:
    begun = [utterance for utterance in reply.spoken if utterance.start_ms is not None]
    core.report(
        Turn(
            turn=reply.turn,
            user_text=reply.user_text,
            user_start_ms=int(reply.user_start_ms),
            user_end_ms=int(reply.user_end_ms),
            reply_text=text,
            reply_start_ms=int(begun[0].start_ms or 0) if begun else None,
            reply_end_ms=int(begun[-1].end_ms) if begun else None,
            interrupted=interrupted,
            action=reply.action,
            variables=reply.variables,
            latency={name: round(value, 1) for name, value in reply.latency.items()},
        )
    )


def _transcript(core: Core, reply: Reply, utterance: Utterance, text: str) -> None:
    if text:
        core.report(
            Segment(
                segment=f"a{utterance.number}",
                speaker="agent",
                text=text,
                start_ms=int(utterance.start_ms or 0),
                end_ms=int(utterance.end_ms),
                language=core.spec.stt.language,
                turn=reply.turn or None,
            )
        )


def replay(core: Core, interrupted: Reply) -> None:
    """An interruption turned out to be noise: say again what was cut, or ask again if nothing was heard."""
    rest = [utterance.text for utterance in interrupted.spoken if not utterance.finished and utterance.text]
    if interrupted.turn and core.carried is not None and core.carried[0]:
        reply = new(core, Kind.ANSWER)
        reply.turn, reply.interruptible = interrupted.turn, interrupted.interruptible
        reply.user_text, reply.user_start_ms = core.carried
        reply.user_end_ms = core.now
        core.enter(State.THINKING)
        ask(core, reply)
    elif rest:
        reply = new(core, Kind.REPLAY)
        reply.interruptible = interrupted.interruptible
        if interrupted.text_complete:
            reply.action, reply.variables = interrupted.action, interrupted.variables
        for text in rest:
            speak(core, reply, text)
        reply.text_complete = True
        core.enter(State.SPEAKING)
    else:
        cooldown.listen(core)
