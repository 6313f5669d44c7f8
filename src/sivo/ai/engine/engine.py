"""The turn engine: events and time in, effects out. It does no I/O, reads no clock and never waits."""

from __future__ import annotations

from sivo.ai.engine import (
    barge_in,
    closing,
    cooldown,
    effects,
    endpointing,
    events,
    failures,
    keys,
    limits,
    replies,
    segments,
    synthesis,
)
from sivo.ai.engine.core import Core
from sivo.ai.engine.effects import Effect
from sivo.ai.engine.states import Kind, State
from sivo.media.protocol import ConversationSpec


class Engine:
    """One conversation. Times are milliseconds on the capture clock (0 = answer).

    :meth:`begin` once, then :meth:`handle` for everything that happens and :meth:`tick` at least every 20 ms; each
    returns what has to be done, in order.
    """

    def __init__(self, spec: ConversationSpec) -> None:
        self._core = Core.of(spec)

    @property
    def state(self) -> State:
        """Where the conversation is."""
        return self._core.state

    @property
    def turns(self) -> int:
        """User turns that were answered."""
        return self._core.turns

    @property
    def agent_audible(self) -> bool:
        """Whether the agent was heard within the last 200 ms (for the echo guard)."""
        return self._core.agent_audible(limits.GAP_MS)

    def begin(self, now_ms: float) -> list[Effect]:
        """Start: the greeting and the phrases that may be needed in a hurry. May be called before the answer."""
        core = self._core
        core.now = now_ms
        core.timers["duration"] = core.spec.max_duration_sec * 1000
        if core.spec.greeting.strip():
            reply = replies.say(core, Kind.GREETING, core.spec.greeting)
            reply.interruptible = core.spec.greeting_interruptible
        else:
            cooldown.listen(core)
        core.effect(effects.Prepare(core.phrases.ahead()))
        return self._taken()

    def handle(self, now_ms: float, event: events.Event) -> list[Effect]:
        """Something happened at ``now_ms``."""
        core = self._core
        core.now = max(core.now, now_ms)
        if core.state is not State.ENDED:
            _dispatch(core, event)
        return self._taken()

    def tick(self, now_ms: float) -> list[Effect]:
        """Time has passed."""
        core = self._core
        core.now = max(core.now, now_ms)
        for name in sorted(core.timers, key=core.timers.__getitem__):
            due = core.timers.get(name)
            if due is not None and due <= core.now:
                del core.timers[name]
                _timer(core, name)
        if core.state is not State.ENDED:
            barge_in.check_resume(core)
            failures.check_hearing(core)
            failures.check_quiet(core)
        return self._taken()

    def _taken(self) -> list[Effect]:
        taken, self._core.out = self._core.out, []
        return taken


def _dispatch(core: Core, event: events.Event) -> None:
    match event:
        case events.Voice():
            segments.on_voice(core, event)
        case events.Sent():
            _sent(core, event)
        case events.Heard():
            segments.on_text(core, event)
        case events.HeardFailed():
            segments.on_failed(core, event)
        case events.Token():
            replies.on_token(core, event)
        case events.TokensDone():
            replies.on_tokens_done(core, event)
        case events.TokensFailed():
            if core.reply is not None and core.reply.epoch == event.epoch:
                failures.thinking(core, event.cause, event.detail)
        case events.Audio():
            synthesis.on_audio(core, event)
        case events.Aligned():
            synthesis.on_aligned(core, event)
        case events.AudioDone():
            synthesis.on_done(core, event)
        case events.AudioFailed():
            synthesis.on_failed(core, event)
        case events.PhraseReady():
            core.prepared.add(event.text)
        case events.FailedOver():
            failures.failed_over(core, event.stage, event.cause, event.detail)
        case events.Used():
            core.count(event.name, event.amount)
        case events.Key():
            keys.on_key(core, event.digit)
        case events.Stop():
            closing.stop(core, event.reason)


def _sent(core: Core, event: events.Sent) -> None:
    if event.utterance is None:
        return
    utterance = replies.find(core, event.epoch, event.utterance)
    if utterance is not None:
        replies.on_frame(core, utterance, event.offset_ms, event.duration_ms, event.last)


def _timer(core: Core, name: str) -> None:
    match name:
        case "cooldown":
            if core.state is State.COOLDOWN:
                cooldown.listen(core)
        case "commit" | "digits":
            endpointing.evaluate(core)
        case "silence":
            limits.silence(core)
        case "duration":
            limits.duration(core)
        case "duration_grace":
            limits.cut_short(core)
        case "llm":
            failures.thinking(core, "slow", "no output within the time limit")
        case "tts":
            _synthesis_slow(core)
        case "closing":
            closing.overdue(core)
        case "end":
            closing.finish(core)


def _synthesis_slow(core: Core) -> None:
    waiting = [item for item in core.reply.utterances if not item.complete] if core.reply else []
    if waiting:
        failures.speaking(core, waiting[0], "slow", "no audio within the time limit")
