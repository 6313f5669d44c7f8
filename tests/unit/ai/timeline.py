"""A telephone call on paper: the turn engine with scripted providers and a scripted caller on the virtual clock.

Time goes in steps of 20 ms. The caller's voice is given as stretches; speech-to-text, model and synthesis answer after
the delays that the script says. Everything that happens is kept with its time, so that a test can assert to the
millisecond of a frame.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sivo.ai.engine import Engine, State, effects, events
from sivo.media.playout import Playout
from sivo.media.protocol import (
    ConversationEnded,
    ConversationSpec,
    FactBody,
    Interruption,
    ProviderFault,
    Segment,
    Stage,
    Turn,
)

FRAME = 20
#: Milliseconds of audio per character: a 30-character sentence lasts 1.8 s.
MS_PER_CHAR = 60


def spec(**changes: Any) -> ConversationSpec:
    """An English agent with short limits where a test wants them."""
    stage = Stage(protocol="openai", base_url="http://127.0.0.1:1/v1", model="m")
    values: dict[str, Any] = {
        "agent_id": "a",
        "agent_name": "Ada",
        "prompt": "You are Ada.",
        "greeting": "Hello, how can I help?",
        "language": "en",
        "stt": stage,
        "llm": stage,
        "tts": stage,
    }
    return ConversationSpec(**(values | changes))


@dataclass
class Stt:
    """Texts by segment, in the order of their request; '' = a noise. ``delay`` None = no answer ever."""

    texts: list[str] = field(default_factory=list)
    delay: float | None = 150
    fault: str = ""
    #: (ms after the beginning of the segment, text) of interim results, per segment.
    interims: list[list[tuple[float, str]]] = field(default_factory=list)


@dataclass
class Llm:
    """Raw answers in the order of the requests; each is streamed in ``pieces`` of 12 characters every 20 ms."""

    answers: list[str] = field(default_factory=list)
    delay: float | None = 200
    fault: str = ""
    #: Stop in the middle (no more tokens and no end), or cut there with a fault.
    stall_after: int | None = None
    cut_after: int | None = None


@dataclass
class Tts:
    """Synthesis: first audio after ``delay``, then 100 ms of audio every 20 ms."""

    delay: float | None = 120
    fault: str = ""
    #: The first so many utterances work, the rest have the fault.
    good: int = 0
    cut_after_ms: float | None = None
    prepare: bool = True


class Call:
    """Runs one conversation. ``voice`` is a list of (start, end) in ms in which the caller makes a sound."""

    def __init__(
        self,
        conversation: ConversationSpec,
        *,
        stt: Stt | None = None,
        llm: Llm | None = None,
        tts: Tts | None = None,
    ) -> None:
        self.engine = Engine(conversation)
        self.stt, self.llm, self.tts = stt or Stt(), llm or Llm(), tts or Tts()
        self.playout = Playout()
        self.now = 0.0
        self.voice: list[tuple[float, float]] = []
        self.facts: list[tuple[float, FactBody]] = []
        self.frames: list[tuple[float, int, int]] = []  # time, epoch, utterance
        self.states: list[tuple[float, str]] = []
        self.effects: list[tuple[float, effects.Effect]] = []
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = 0
        self._asked: list[int] = []
        self._audio_at = 0.0
        self._spoken: list[int] = []
        self._cancelled: set[int] = set()
        self._window = 0.0
        self._apply(self.engine.begin(0))

    # --- the caller and the clock -----------------------------------------------------------------------------------

    def says(self, start: float, length: float) -> None:
        """The caller makes a sound from ``start`` for ``length`` ms (rounded to VAD windows by the clock)."""
        self.voice.append((start, start + length))

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Do something at ``when``."""
        self._serial += 1
        heapq.heappush(self._due, (when, self._serial, action))

    def run(self, until: float) -> Call:
        """Let time pass until ``until`` or the end of the conversation."""
        while self.now < until and self.engine.state is not State.ENDED:
            self.now += FRAME
            self._play()
            self._hear()
            while self._due and self._due[0][0] <= self.now:
                heapq.heappop(self._due)[2]()
            self._apply(self.engine.tick(self.now))
        return self

    def run_while(self, state: State, limit: float = 60_000) -> Call:
        """Let time pass until the conversation leaves ``state``."""
        while self.engine.state is state and self.now < limit:
            self.run(self.now + FRAME)
        return self

    def run_to(self, state: State, limit: float = 60_000) -> Call:
        """Let time pass until the conversation is in ``state``."""
        while self.engine.state is not state and self.now < limit:
            self.run(self.now + FRAME)
        assert self.engine.state is state, (self.engine.state, self.now)
        return self

    def happen(self, event: events.Event) -> None:
        """Tell the engine."""
        self._apply(self.engine.handle(self.now, event))

    def _play(self) -> None:
        frame, reports = self.playout.pull()
        for report in reports:
            if report.duration_ms:
                self.frames.append((self.now, report.epoch, report.utterance))
            self.happen(events.Sent(report.utterance, report.epoch, report.offset_ms, report.duration_ms, report.last))
        if frame is None:
            self.happen(events.Sent())

    def _hear(self) -> None:
        # Windows of 32 ms, of which five end in every eight frames, as in the real VAD.
        while self._window + 32 <= self.now:
            self._window += 32
            middle = self._window - 16
            voiced = any(start <= middle < end for start, end in self.voice)
            self.happen(events.Voice(self._window, voiced))

    # --- the providers ----------------------------------------------------------------------------------------------

    def _apply(self, wanted: list[effects.Effect]) -> None:
        for effect in wanted:
            self.effects.append((self.now, effect))
            self._one(effect)

    def _one(self, effect: effects.Effect) -> None:
        match effect:
            case effects.Report(body=body):
                self.facts.append((self.now, body))
            case effects.Tell(kind="state", data=data):
                self.states.append((self.now, data["state"]))
            case effects.Listen(segment=number):
                for after, text in self.stt.interims.pop(0) if self.stt.interims else []:
                    self.at(self.now + after, lambda text=text: self.happen(events.Heard(number, text, False)))
            case effects.Transcribe(segment=number):
                self._transcribe(number)
            case effects.Ask(epoch=epoch):
                self._ask(epoch)
            case effects.Speak():
                self._speak(effect)
            case effects.Tone(epoch=epoch, utterance=utterance):
                self._queue_audio(epoch, utterance, 600)
            case effects.Prepare(texts=texts):
                if self.tts.prepare and not (self.tts.fault and not self.tts.good) and self.tts.delay is not None:
                    for text in texts:
                        self.at(self.now + self.tts.delay, lambda text=text: self._prepared(text))
            case effects.Cancel(epoch=epoch):
                self._cancelled.add(epoch)
                for utterance in self._spoken:
                    self.playout.end(epoch, utterance) if self._has(epoch, utterance) else None
            case effects.Pause():
                self.playout.pause()
            case effects.Resume(utterance=utterance, from_ms=from_ms):
                self.playout.resume(utterance, from_ms)
            case effects.Clear():
                self.playout.clear()

    def _has(self, epoch: int, utterance: int) -> bool:
        return self.playout._find(epoch, utterance) is not None

    def _prepared(self, text: str) -> None:
        self.ready = getattr(self, "ready", set()) | {text}
        self.happen(events.PhraseReady(text))

    def _transcribe(self, number: int) -> None:
        text = self.stt.texts.pop(0) if self.stt.texts and not self.stt.fault else ""
        if self.stt.delay is None:
            return
        if self.stt.fault:
            cause: Any = self.stt.fault
            self.at(self.now + self.stt.delay, lambda: self.happen(events.HeardFailed(number, cause, "scripted")))
        else:
            self.at(self.now + self.stt.delay, lambda: self.happen(events.Heard(number, text)))

    def _ask(self, epoch: int) -> None:
        self._asked.append(epoch)
        if self.llm.delay is None:
            return
        when = self.now + self.llm.delay
        cause: Any = self.llm.fault
        if cause and self.llm.cut_after is None:
            self.at(when, lambda: self.happen(events.TokensFailed(epoch, cause, "scripted")))
            return
        raw = self.llm.answers.pop(0) if self.llm.answers else '{"response": "All right."}'
        sent = 0
        for place in range(0, len(raw), 12):
            if self.llm.stall_after is not None and sent >= self.llm.stall_after:
                return
            if self.llm.cut_after is not None and sent >= self.llm.cut_after:
                self.at(when, lambda: self.happen(events.TokensFailed(epoch, cause or "cut", "scripted")))
                return
            piece = raw[place : place + 12]
            sent += len(piece)
            self.at(when, lambda piece=piece: self.happen(events.Token(epoch, piece)))
            when += FRAME
        self.at(when, lambda: self.happen(events.TokensDone(epoch)))

    def _speak(self, effect: effects.Speak) -> None:
        if effect.text in getattr(self, "ready", set()):
            self._queue_audio(effect.epoch, effect.utterance, len(effect.text) * MS_PER_CHAR)
            return
        self._spoken.append(effect.utterance)
        if self.tts.delay is None:
            return
        when = max(self.now, self._audio_at) + self.tts.delay
        if self.tts.fault and len(self._spoken) > self.tts.good and self.tts.cut_after_ms is None:
            cause: Any = self.tts.fault
            self.at(when, lambda: self._failed(effect, cause))
            return
        total = len(effect.text) * MS_PER_CHAR
        limit = self.tts.cut_after_ms if len(self._spoken) > self.tts.good else None
        made = 0.0
        while made < total:
            size = min(100, total - made)
            if limit is not None and made + size > limit:
                self.at(when, lambda: self._failed(effect, "cut"))
                return
            self.at(when, lambda size=size: self._more(effect, size))
            made += size
            when += FRAME
        self._audio_at = when
        self.at(when, lambda: self._done(effect))

    def _alive(self, effect: effects.Speak) -> bool:
        return effect.epoch not in self._cancelled

    def _more(self, effect: effects.Speak, size: float) -> None:
        if self._alive(effect):
            self.playout.append(effect.epoch, effect.utterance, bytes(int(size) * 16))
            self.happen(events.Audio(effect.epoch, effect.utterance, size))

    def _done(self, effect: effects.Speak) -> None:
        if self._alive(effect):
            self.playout.end(effect.epoch, effect.utterance)
            self.happen(events.AudioDone(effect.epoch, effect.utterance))

    def _failed(self, effect: effects.Speak, cause: Any) -> None:
        if self._alive(effect):
            if self._has(effect.epoch, effect.utterance):
                self.playout.end(effect.epoch, effect.utterance)
            self.happen(events.AudioFailed(effect.epoch, effect.utterance, cause, "scripted"))

    def _queue_audio(self, epoch: int, utterance: int, ms: int) -> None:
        self.playout.append(epoch, utterance, bytes(ms * 16))
        self.playout.end(epoch, utterance)
        self.at(self.now, lambda: self.happen(events.Audio(epoch, utterance, ms)))
        self.at(self.now, lambda: self.happen(events.AudioDone(epoch, utterance)))

    # --- what a test looks at ---------------------------------------------------------------------------------------

    def of(self, kind: type[Any]) -> list[Any]:
        """Facts of one kind, in order."""
        return [body for _, body in self.facts if isinstance(body, kind)]

    @property
    def turns(self) -> list[Turn]:
        """Committed turns."""
        return self.of(Turn)

    @property
    def said(self) -> list[str]:
        """What the agent was really heard to say."""
        return [body.text for body in self.of(Segment) if body.speaker == "agent"]

    @property
    def heard(self) -> list[str]:
        """What the caller is said to have said."""
        return [body.text for body in self.of(Segment) if body.speaker == "caller"]

    @property
    def faults(self) -> list[ProviderFault]:
        """Provider faults."""
        return self.of(ProviderFault)

    @property
    def interruptions(self) -> list[Interruption]:
        """Interruptions, committed and resumed."""
        return self.of(Interruption)

    @property
    def ended(self) -> ConversationEnded:
        """The end; fails when there is none."""
        (end,) = self.of(ConversationEnded)
        return end

    def first_frame_after(self, when: float) -> float:
        """Time of the first frame of agent speech after ``when``."""
        return next(at for at, _, _ in self.frames if at > when)

    @property
    def messages(self) -> list[dict[str, str]]:
        """The chat messages of the last request to the model."""
        return [effect for _, effect in self.effects if isinstance(effect, effects.Ask)][-1].messages
