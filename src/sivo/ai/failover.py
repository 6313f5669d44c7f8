"""A second provider per stage: when the first one fails before it has said anything, the second does its work.

Who has failed over stays with the second one until the call ends: a voice that changes once is enough.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Generic, TypeVar

from sivo.ai.breaker import Breaker, counts, is_open
from sivo.ai.llm import ChatModel, Usage
from sivo.ai.sentences import clean
from sivo.media.protocol import Stage
from sivo.speech.alignment import Alignment
from sivo.speech.elevenlabs import takes_tags
from sivo.speech.faults import ProviderError, explain
from sivo.speech.faults import Stage as StageName
from sivo.speech.stt import FRAME_MS, KEEP_MS, PREROLL_MS, OnText, SttFailed, SttResult, SttSession, SttText, SttTrouble
from sivo.speech.tts import Synthesizer

_T = TypeVar("_T")
#: Told when the next provider takes over, and why.
OnFailover = Callable[[StageName, ProviderError], None]


@dataclass(slots=True)
class Board:
    """Whom the stages of one conversation tell about themselves."""

    failover: OnFailover = lambda stage, error: None
    used: Callable[[str, float], None] = lambda name, amount: None


@dataclass(frozen=True, slots=True)
class Choice(Generic[_T]):
    """One provider of a stage; ``circuit``: its name in the breaker."""

    stage: Stage
    adapter: _T
    circuit: bytes


class _Chain(Generic[_T]):
    """The providers of a stage in order, and which of them is in use."""

    def __init__(self, name: StageName, choices: Sequence[Choice[_T]], breaker: Breaker, board: Board) -> None:
        self._name = name
        self._choices = choices
        self._breaker = breaker
        self._board = board
        self._place = 0
        self._again: set[bytes] = set()

    @property
    def current(self) -> Choice[_T]:
        """The provider in use."""
        return self._choices[self._place]

    def next_open(self) -> Choice[_T]:
        """The provider to ask now. Raises when no circuit is closed."""
        while not self._breaker.allows(self.current.circuit, asyncio.get_running_loop().time()):
            if not self.move_on(self.current, is_open(self._name), asked=False):
                raise is_open(self._name)
        return self.current

    def move_on(self, failed: Choice[_T], error: ProviderError, *, asked: bool = True) -> bool:
        """Go to the provider after ``failed``, if there is one; somebody else may have done so already. ``asked``:
        it was really asked."""
        if self.current is not failed:
            return True
        if self._place + 1 >= len(self._choices):
            return False
        if error.cause == "refused" and not error.status and failed.circuit not in self._again and asked:
            # A kept connection that the server has closed meanwhile looks like this: once a call it gets another try.
            self._again.add(failed.circuit)
            return True
        self._place += 1
        self._board.failover(self._name, error)
        return True

    def worked(self, choice: Choice[_T]) -> None:
        self._breaker.worked(choice.circuit)

    def failed(self, choice: Choice[_T], error: ProviderError) -> None:
        if counts(error):
            self._breaker.failed(choice.circuit, asyncio.get_running_loop().time())
        else:
            self._breaker.left(choice.circuit)

    def left(self, choice: Choice[_T]) -> None:
        self._breaker.left(choice.circuit)


class FailoverChat:
    """A :class:`~sivo.ai.llm.ChatModel` of one or two."""

    def __init__(self, choices: Sequence[Choice[ChatModel]], breaker: Breaker, board: Board) -> None:
        self._chain = _Chain("llm", choices, breaker, board)

    async def stream(self, messages: list[dict[str, str]], usage: Usage) -> AsyncGenerator[str, None]:
        """See :class:`~sivo.ai.llm.ChatModel`."""
        while True:
            choice = self._chain.next_open()
            begun = False
            try:
                async with aclosing(choice.adapter.stream(messages, usage)) as pieces:
                    async for piece in pieces:
                        begun = True
                        yield piece
                self._chain.worked(choice)
                return
            except Exception as error:
                fault = explain(error, streaming=begun)
                self._chain.failed(choice, fault)
                if begun or not self._chain.move_on(choice, fault):
                    raise fault from None
            except BaseException:
                self._chain.left(choice)
                raise


class FailoverVoice:
    """A :class:`~sivo.speech.tts.Synthesizer` of one or two. Each gets audio tags only if its model takes them."""

    def __init__(self, choices: Sequence[Choice[Synthesizer]], breaker: Breaker, board: Board) -> None:
        self._chain = _Chain("tts", choices, breaker, board)
        self._choices = choices
        self._board = board

    @property
    def stage(self) -> Stage:
        """The stage in use."""
        return self._chain.current.stage

    async def speak(self, text: str) -> AsyncGenerator[bytes | Alignment, None]:
        """See :class:`~sivo.speech.tts.Synthesizer`."""
        while True:
            choice = self._chain.next_open()
            words = clean(text, keep_tags=takes_tags(choice.stage.model))
            begun = False
            self._board.used("tts_characters", len(words))
            try:
                async with aclosing(choice.adapter.speak(words)) as pieces:
                    async for piece in pieces:
                        begun = True
                        yield piece
                self._chain.worked(choice)
                return
            except Exception as error:
                fault = explain(error, streaming=begun)
                self._chain.failed(choice, fault)
                if begun or not self._chain.move_on(choice, fault):
                    raise fault from None
            except BaseException:
                self._chain.left(choice)
                raise

    async def close(self) -> None:
        """See :class:`~sivo.speech.tts.Synthesizer`."""
        await asyncio.gather(*(choice.adapter.close() for choice in self._choices))


Open = Callable[[OnText], SttSession]
#: Protocols that hear segments only; all others hear the whole call.
_BY_SEGMENT = "openai"
_FINAL = ("rejected", "guard")


class FailoverEar:
    """A :class:`~sivo.speech.stt.SttSession` of one or two: a segment that the first one failed on is heard again by
    the second one, from the audio kept here."""

    def __init__(self, choices: Sequence[Choice[Open]], breaker: Breaker, board: Board, on_text: OnText) -> None:
        self._chain = _Chain("stt", choices, breaker, board)
        self._board = board
        self._on_text = on_text
        self._recent: deque[tuple[int, bytes, bytes]] = deque(maxlen=KEEP_MS // FRAME_MS)
        self._begun: dict[int, float] = {}
        self._ended: dict[int, float] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._unbilled_ms = 0.0
        try:
            self._chain.next_open()
        except ProviderError:
            pass  # every circuit is open: the last one is asked all the same, there is nobody else to hear the caller
        self._session = self._open()

    def _open(self) -> SttSession:
        place = self._chain.current

        def told(result: SttResult) -> None:
            if place is self._chain.current:
                self._result(place, result)

        return place.adapter(told)

    def audio(self, end_ms: int, ulaw: bytes, pcm16: bytes) -> None:
        """See :class:`~sivo.speech.stt.SttSession`."""
        self._recent.append((end_ms, ulaw, pcm16))
        self._session.audio(end_ms, ulaw, pcm16)
        if self._chain.current.stage.protocol != _BY_SEGMENT:
            self._unbilled_ms += FRAME_MS
            if self._unbilled_ms >= 1000:
                self._board.used("stt_audio_seconds", self._unbilled_ms / 1000)
                self._unbilled_ms = 0.0

    def begin(self, segment: int, start_ms: float) -> None:
        """See :class:`~sivo.speech.stt.SttSession`."""
        self._begun[segment] = start_ms
        self._session.begin(segment, start_ms)

    def finish(self, segment: int, end_ms: float) -> None:
        """See :class:`~sivo.speech.stt.SttSession`."""
        self._ended[segment] = end_ms
        self._session.finish(segment, end_ms)
        if self._chain.current.stage.protocol == _BY_SEGMENT:
            heard_ms = end_ms - self._begun.get(segment, end_ms) + PREROLL_MS
            self._board.used("stt_audio_seconds", heard_ms / 1000)

    def drop(self, segment: int) -> None:
        """See :class:`~sivo.speech.stt.SttSession`."""
        self._forget(segment)
        self._session.drop(segment)

    async def drain(self) -> None:
        """See :class:`~sivo.speech.stt.SttSession`."""
        await self._session.drain()

    async def close(self) -> None:
        """See :class:`~sivo.speech.stt.SttSession`."""
        self._chain.left(self._chain.current)  # nothing may have been said, so nothing is known
        await asyncio.gather(self._session.close(), *self._closing, return_exceptions=True)

    def _result(self, place: Choice[Open], result: SttResult) -> None:
        if isinstance(result, SttText):
            if result.final:
                self._chain.worked(place)
                if result.segment is not None:
                    self._forget(result.segment)
            self._on_text(result)
            return
        # A line that broke comes back by itself and replays what it missed; one that was refused does not.
        if not (isinstance(result, SttFailed) or (isinstance(result, SttTrouble) and result.error.cause in _FINAL)):
            self._on_text(result)
            return
        self._chain.failed(place, result.error)
        if not self._chain.move_on(place, result.error, asked=False):
            self._on_text(result)
            return
        self._hand_over()

    def _hand_over(self) -> None:
        """The next provider hears again what has no text yet."""
        task = asyncio.create_task(self._session.close(), name="stt-failed")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        self._session = self._open()
        waiting = sorted(self._begun.items(), key=lambda item: item[1])
        since = (waiting[0][1] - PREROLL_MS) if waiting else float("inf")
        for end_ms, ulaw, pcm16 in list(self._recent):
            if end_ms <= since:
                continue
            while waiting and end_ms > waiting[0][1]:
                self._session.begin(*waiting.pop(0))
            self._session.audio(end_ms, ulaw, pcm16)
        for segment, start_ms in waiting:
            self._session.begin(segment, start_ms)
        for segment, ended in list(self._ended.items()):
            self._session.finish(segment, ended)

    def _forget(self, segment: int) -> None:
        self._begun.pop(segment, None)
        self._ended.pop(segment, None)
