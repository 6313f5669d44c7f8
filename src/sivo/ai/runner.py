"""Runs one conversation: carries the turn engine's effects out and brings it what happens.

Everything runs on the media loop. The engine is called synchronously; only providers are tasks. Results of a provider
carry the epoch or segment that asked for them, the engine drops what is stale.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from typing import Any

from sivo.ai import providers
from sivo.ai.echo import EchoGuard, level
from sivo.ai.engine import Engine, State, effects, events
from sivo.ai.llm import Usage
from sivo.ai.voice_queue import VoiceQueue
from sivo.base import logs
from sivo.media.conversation import Emit, VadSlot, VadWindow
from sivo.media.playout import Playout, SentFrame
from sivo.media.protocol import ConversationEnded, ConversationSpec, ProviderFault
from sivo.outbound.client import GuardedClient
from sivo.speech.faults import explain
from sivo.speech.stt import SttFailed, SttReady, SttResult, SttText, SttTrouble
from sivo.speech.tts import PhraseCache

_CLOSE_S = 2.0
#: Fixed phrases outlive calls.
_cache = PhraseCache()


def start(
    spec: ConversationSpec,
    playout: Playout,
    emit: Emit,
    clock_ms: Callable[[], int],
    http: GuardedClient,
    vad: VadSlot,
) -> Runner:
    """Begin a conversation (see :data:`sivo.media.conversation.Start`)."""
    runner = Runner(spec, playout, emit, clock_ms, providers.connect(spec, http), _cache)
    vad.reset()
    runner.begin()
    return runner


class Runner:
    """The :class:`sivo.media.conversation.Conversation` of one call."""

    def __init__(
        self,
        spec: ConversationSpec,
        playout: Playout,
        emit: Emit,
        clock_ms: Callable[[], int],
        stages: providers.Providers,
        cache: PhraseCache,
    ) -> None:
        self._engine = Engine(spec)
        self._playout = playout
        self._emit = emit
        self._clock_ms = clock_ms
        self._stages = stages
        stages.board.failover = lambda stage, error: self.happen(events.FailedOver(stage, error.cause, error.detail))
        stages.board.used = lambda name, amount: self.happen(events.Used(name, amount))
        self._voice = VoiceQueue(stages.tts, lambda: stages.tts.stage, cache, playout, self.happen)
        self._thinking: tuple[int, asyncio.Task[None]] | None = None
        self._background: set[asyncio.Task[None]] = set()
        self._inbox: deque[events.Event] = deque()
        self._busy = False
        self._closed = False
        self._line_broken = False
        self._echo = EchoGuard()
        self._sent_level = 0.0
        self._log = logs.here("ai")
        self._stt = stages.stt(self._on_text)

    def begin(self) -> None:
        """Greet, and open what will be needed while the phone still rings."""
        self._run(self._stages.warm(), "warm")
        self._do(self._engine.begin(float(self._clock_ms())))

    # --- what the media loop calls ----------------------------------------------------------------------------------

    def on_sent(self, now_ms: int, sent: SentFrame | None) -> None:
        """See :class:`sivo.media.conversation.Conversation`."""
        if sent is None or self._closed:
            return
        if sent.duration_ms:
            self._sent_level = self._voice.level(sent.utterance, sent.offset_ms)
        self.happen(
            events.Sent(sent.utterance, sent.epoch, sent.offset_ms, sent.duration_ms, sent.last), at_ms=float(now_ms)
        )

    def on_audio(self, now_ms: int, ulaw_frame: bytes, pcm16: bytes, voiced: list[VadWindow]) -> None:
        """See :class:`sivo.media.conversation.Conversation`."""
        if self._closed:
            return
        self._stt.audio(now_ms, ulaw_frame, pcm16)
        if self._sent_level or self._echo.active:
            self._echo.tick(self._sent_level, level(pcm16))
        self._sent_level = 0.0
        for window in voiced:
            echo = window.voiced and self._engine.agent_audible and self._echo.is_echo()
            voice = events.Voice(float(now_ms - window.age_ms), window.voiced, echo=echo)
            self.happen(voice, at_ms=float(now_ms))
        self._tick(float(now_ms))

    def on_digit(self, digit: str) -> None:
        """See :class:`sivo.media.conversation.Conversation`."""
        self.happen(events.Key(digit))

    def stop(self, reason: str) -> None:
        """See :class:`sivo.media.conversation.Conversation`."""
        self.happen(events.Stop(reason))

    async def wait_closed(self) -> None:
        """See :class:`sivo.media.conversation.Conversation`."""
        tasks = [*self._background, *self._voice.tasks()]
        if self._thinking is not None:
            tasks.append(self._thinking[1])
        for task in tasks:
            task.cancel()
        closing = asyncio.gather(self._stt.close(), self._stages.tts.close(), *tasks, return_exceptions=True)
        try:
            await asyncio.wait_for(closing, _CLOSE_S)
        except TimeoutError:
            self._log.warning("provider streams did not close in time")

    # --- events and effects -----------------------------------------------------------------------------------------

    def happen(self, event: events.Event, *, at_ms: float | None = None) -> None:
        """Tell the engine and do what it wants; what that causes at once is told after it, in order."""
        if self._closed:
            return
        self._inbox.append(event)
        self._drain([], at_ms)

    def _do(self, wanted: list[effects.Effect]) -> None:
        """Carry effects out that did not come from an event."""
        self._drain(wanted, None)

    def _tick(self, now_ms: float) -> None:
        try:
            wanted = self._engine.tick(now_ms)
        except Exception:
            self._broken()
        else:
            self._do(wanted)

    def _drain(self, wanted: list[effects.Effect], at_ms: float | None) -> None:
        if self._busy:
            return
        self._busy = True
        try:
            self._carry_out(wanted)
            while self._inbox and not self._closed:
                now = float(self._clock_ms()) if at_ms is None else at_ms
                self._carry_out(self._engine.handle(now, self._inbox.popleft()))
        except Exception:
            self._broken()
        finally:
            self._busy = False

    def _broken(self) -> None:
        """A mistake of ours must not leave a caller in silence: the conversation ends and says so."""
        self._log.exception("the conversation broke", state=str(self._engine.state))
        if self._closed:
            return
        self._finish()
        self._playout.clear()
        self._emit(
            ConversationEnded(
                reason="node_failure",
                turns=self._engine.turns,
                at_ms=self._clock_ms(),
                detail="the conversation engine failed",
            )
        )

    def _carry_out(self, wanted: list[effects.Effect]) -> None:
        for effect in wanted:
            self._one(effect)

    def _one(self, effect: effects.Effect) -> None:
        match effect:
            case effects.Report():
                self._emit(effect.body)
            case effects.Tell():
                self._emit.note(effect.kind, effect.data)
            case effects.Listen():
                self._stt.begin(effect.segment, effect.start_ms)
            case effects.Transcribe():
                self._stt.finish(effect.segment, effect.end_ms)
            case effects.Unlisten():
                self._stt.drop(effect.segment)
            case effects.Ask():
                self._ask(effect)
            case effects.Unask():
                self._unask(effect.epoch)
            case effects.Cancel():
                self._unask(effect.epoch)
                self._voice.cancel(effect.epoch)
            case effects.Finish():
                self._finish()
            case _:
                self._speech(effect)

    def _speech(self, effect: effects.Effect) -> None:
        match effect:
            case effects.Speak():
                self._voice.speak(effect)
            case effects.Tone():
                self._voice.tone(effect)
            case effects.Prepare():
                self._voice.prepare(effect.texts)
            case effects.Pause():
                self._playout.pause()
            case effects.Resume():
                self._playout.resume(effect.utterance, effect.from_ms)
            case effects.Clear():
                self._playout.clear()

    # --- the model --------------------------------------------------------------------------------------------------

    def _ask(self, wanted: effects.Ask) -> None:
        if self._thinking is not None:
            self._thinking[1].cancel()
        task = asyncio.create_task(self._think(wanted), name=f"llm-{wanted.epoch}")
        self._thinking = (wanted.epoch, task)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _think(self, wanted: effects.Ask) -> None:
        usage = Usage()
        try:
            async with aclosing(self._stages.llm.stream(wanted.messages, usage)) as pieces:
                async for piece in pieces:
                    self.happen(events.Token(wanted.epoch, piece))
        except Exception as error:
            fault = explain(error)
            self.happen(events.TokensFailed(wanted.epoch, fault.cause, fault.detail))
            return
        self.happen(events.Used("llm_prompt_tokens", usage.prompt_tokens))
        self.happen(events.Used("llm_completion_tokens", usage.completion_tokens))
        self.happen(events.TokensDone(wanted.epoch))

    def _unask(self, epoch: int) -> None:
        if self._thinking is not None and self._thinking[0] == epoch:
            task = self._thinking[1]
            if task is not asyncio.current_task():
                task.cancel()
            self._thinking = None

    # --- speech-to-text, end ----------------------------------------------------------------------------------------

    def _on_text(self, result: SttResult) -> None:
        match result:
            case SttText():
                self.happen(events.Heard(result.segment, result.text, result.final, result.end_ms))
            case SttFailed():
                self.happen(events.HeardFailed(result.segment, result.error.cause, result.error.detail))
            case SttTrouble():
                self._line_trouble(result)
            case SttReady():
                self._line_broken = False

    def _line_trouble(self, trouble: SttTrouble) -> None:
        """The line to a streaming engine broke: one fact until it is back; the engine is told by segment."""
        if self._closed or self._line_broken:
            return
        self._line_broken = True
        fault = trouble.error
        at_ms = self._clock_ms()
        self._emit(ProviderFault(stage="stt", cause=fault.cause, detail=fault.detail, at_ms=at_ms, action="reconnect"))

    def _finish(self) -> None:
        self._closed = True
        self._inbox.clear()
        self._run(self._release(), "release")

    async def _release(self) -> None:
        """Let providers go as soon as the conversation is over; the session may stay up (transfer)."""
        if self._thinking is not None:
            self._thinking[1].cancel()
        self._voice.tasks()
        await asyncio.gather(self._stt.close(), self._stages.tts.close())

    def _run(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    @property
    def state(self) -> State:
        """Where the conversation is."""
        return self._engine.state
