"""When a provider fails: one more try while there is time, else an apology, then transfer or goodbye; no dead air."""

from __future__ import annotations

from sivo.ai.engine import effects, limits, replies, segments
from sivo.ai.engine.core import Core, Ending
from sivo.ai.engine.states import Kind, Place, State, Utterance, VoiceSegment
from sivo.media.protocol import ProviderFault
from sivo.speech.faults import Cause, Stage

_AGAIN: tuple[Cause, ...] = ("refused", "cut")


def _fault(core: Core, stage: Stage, cause: Cause, detail: str, action: str) -> None:
    core.report(ProviderFault(stage=stage, cause=cause, detail=detail, at_ms=int(core.now), action=action))


def _worth_retry(core: Core, cause: Cause, tries: int, since_ms: float) -> bool:
    return tries == 0 and cause in _AGAIN and core.now - since_ms <= limits.RETRY_WITHIN_MS


def failed_over(core: Core, stage: Stage, cause: Cause, detail: str) -> None:
    """The second provider has taken over: it gets the time that the first one had."""
    _fault(core, stage, cause, detail, "second provider")
    limit = {"llm": limits.LLM_FIRST_TOKEN_MS, "tts": limits.TTS_FIRST_BYTE_MS}.get(stage)
    if limit is not None and stage in core.timers:
        core.timers[stage] = core.now + limit


def hearing(core: Core, segment: VoiceSegment, cause: Cause, detail: str) -> None:
    """Speech-to-text failed for a closed segment."""
    if _worth_retry(core, cause, segment.tries, segment.end_ms):
        segment.tries += 1
        _fault(core, "stt", cause, detail, "retry")
        core.effect(effects.Transcribe(segment.number, segment.end_ms))
        return
    if segment.interim:
        _fault(core, "stt", cause, detail, "interim text used")
        segments.settle(core, segment, segment.interim)
    elif segment.place is Place.TURN and segment.voiced_ms >= limits.EARLY_MS:
        core.pending.pop(segment.number, None)
        give_up(core, "stt", cause, detail)
    else:
        _fault(core, "stt", cause, detail, "ignored")
        segments.settle(core, segment, "")


def thinking(core: Core, cause: Cause, detail: str) -> None:
    """The model failed for the living reply."""
    reply = core.reply
    if reply is None or reply.text_complete:
        return
    if reply.token_at is None and _worth_retry(core, cause, reply.tries, reply.user_end_ms):
        reply.tries += 1
        _fault(core, "llm", cause, detail, "retry")
        replies.ask(core, reply)
        return
    give_up(core, "llm", cause, detail)


def speaking(core: Core, utterance: Utterance, cause: Cause, detail: str) -> None:
    """Synthesis failed for an utterance of the living reply."""
    reply = core.reply
    if reply is None:
        return
    if utterance.audio_ms <= 0 and _worth_retry(core, cause, utterance.tries, utterance.requested_at):
        utterance.tries += 1
        _fault(core, "tts", cause, detail, "retry")
        core.effect(effects.Speak(reply.epoch, utterance.number, utterance.text))
        core.timers["tts"] = core.now + limits.TTS_FIRST_BYTE_MS
        return
    core.mute = True
    give_up(core, "tts", cause, detail)


def give_up(core: Core, stage: Stage, cause: Cause, detail: str) -> None:
    """No way to go on: play what is already there, apologise, transfer or say goodbye."""
    reply = core.reply
    if reply is not None and reply.kind in (Kind.APOLOGY, Kind.CLOSING):
        _fault(core, stage, cause, detail, "end")
        _drop_unmade(core)
        replies.check_finished(core)
        return
    _fault(core, stage, cause, detail, "transfer" if core.spec.transfer_to else "goodbye")
    failure = f"{stage} {cause}: {detail}"
    core.timers.pop("llm", None)
    if reply is None:
        apologise(core, failure)
        return
    reply.failure = failure
    reply.text_complete = True
    reply.interruptible = False
    if stage == "tts":
        core.effect(effects.Cancel(reply.epoch))
        _drop_unmade(core)
    else:
        core.effect(effects.Unask(reply.epoch))
    replies.check_finished(core)


def _drop_unmade(core: Core) -> None:
    """Utterances without audio will never be heard; those with some end where it ends."""
    assert core.reply is not None
    core.reply.utterances = [item for item in core.reply.utterances if item.audio_ms > 0]
    core.timers.pop("tts", None)


def apologise(core: Core, detail: str) -> None:
    """Say the apology from what was made ahead; with no voice at all, a neutral tone."""
    if core.reply is not None:
        replies.fail(core)
    core.forget_caller()
    core.ending = Ending("transfer" if core.spec.transfer_to else "provider_failure", core.spec.transfer_to, detail)
    reply = replies.new(core, Kind.APOLOGY)
    reply.interruptible = False
    core.enter(State.CLOSING)
    core.timers["closing"] = core.now + limits.CLOSING_MS
    wanted = [core.phrases.apology] + ([] if core.spec.transfer_to else [core.phrases.closing])
    for text in wanted:
        if not core.mute or text in core.prepared:
            replies.speak(core, reply, text)
    if not reply.utterances:
        replies.tone(core, reply)
    reply.text_complete = True


def check_quiet(core: Core) -> None:
    """The caller has waited for :data:`limits.FILLER_MS`: say the filler (once per reply)."""
    if core.pause is not None or core.segment is not None:
        return
    reply = core.reply
    if reply is not None:
        if (
            reply.kind is not Kind.CLOSING
            and not reply.filler_used
            and not reply.finished
            and core.now - _quiet_since(core) >= limits.FILLER_MS
        ):
            _fill(core)
    elif core.state is State.ENDPOINTING and core.turn is not None and "digits" not in core.timers:
        meant = any(segment.voiced_ms >= limits.EARLY_MS for segment in core.turn.segments)
        if meant and core.now - core.turn.end_ms >= limits.FILLER_MS:
            reply = replies.new(core, Kind.ANSWER)
            reply.awaits_text = True
            core.enter(State.THINKING)
            _fill(core)


def _quiet_since(core: Core) -> float:
    reply = core.reply
    assert reply is not None
    return max(core.last_agent_ms, reply.user_end_ms if reply.turn else reply.begun_at)


def _fill(core: Core) -> None:
    reply = core.reply
    assert reply is not None
    reply.filler_used = True
    if core.phrases.filler in core.prepared:
        replies.speak(core, reply, core.phrases.filler, filler=True)
    else:
        replies.tone(core, reply, filler=True)


def check_hearing(core: Core) -> None:
    """Final texts that have taken too long."""
    for segment in list(core.pending.values()):
        waited = core.now - segment.closed_at
        if segment.interim and waited >= limits.STT_WITH_INTERIM_MS:
            segments.settle(core, segment, segment.interim)
        elif waited >= limits.STT_MS:
            hearing(core, segment, "slow", f"no text within {limits.STT_MS} ms")
