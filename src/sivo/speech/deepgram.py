"""Deepgram's live protocol from the client's side, without I/O.

Source: https://developers.deepgram.com/reference/speech-to-text/listen-streaming (and KeepAlive, Finalize, CloseStream,
UtteranceEnd, error codes there). The rules that matter:

- KeepAlive as a text frame while no audio goes out, or the server closes with NET-0001 after ten seconds;
- interims replace each other, finals add up; ``from_finalize`` may never come when nothing was buffered, so that a
  final is also taken from the range that results cover, and from the last interim after :data:`FINAL_WAIT_MS`;
- audio is kept until a final result covers it and sent again on a new connection, so that no word is lost.
"""

from __future__ import annotations

import json
from collections import deque
from typing import Any

import msgspec

from sivo.speech.deepgram_words import Span, Timeline, Word, nearest, text_of
from sivo.speech.faults import ProviderError
from sivo.speech.live import REPLAY_MS, Effect, Hang, Line, Transmit
from sivo.speech.stt import FRAME_MS, SttFailed, SttReady, SttText, SttTrouble

#: Audio in one binary frame (documented: 20 to 100 ms); less goes out only before Finalize.
FRAME_OUT_MS = 60
KEEP_ALIVE_MS = 4_000
#: From Finalize to taking the last interim for the final text.
FINAL_WAIT_MS = 600
#: A final result that reaches so far behind the end of a voice holds its last word.
TAIL_MS = 100
#: Frames of a replay are larger, so that it is over quickly.
_REPLAY_BYTES = 1600
_KEPT_SPANS = 16


class _Word(msgspec.Struct):
    word: str
    start: float
    end: float
    punctuated_word: str | None = None


class _Alternative(msgspec.Struct):
    transcript: str
    words: list[_Word] = []


class _Channel(msgspec.Struct):
    alternatives: list[_Alternative]


class _Results(msgspec.Struct):
    start: float
    duration: float
    channel: _Channel
    is_final: bool = False
    speech_final: bool = False
    from_finalize: bool = False


def query(model: str, language: str, tag: str = "") -> list[tuple[str, str]]:
    """Parameters of the stream. Vendor endpointing and UtteranceEnd are the safety net behind our own Finalize."""
    pairs = {
        "model": model,
        "language": language,
        "encoding": "mulaw",
        "sample_rate": "8000",
        "channels": "1",
        "interim_results": "true",
        "endpointing": "300",
        "utterance_end_ms": "1000",
        "vad_events": "true",
        "smart_format": "true",
    }
    return [*pairs.items(), *([("tag", tag)] if tag else [])]


class Deepgram:
    """The :class:`~sivo.speech.live.LiveCore` of Deepgram.

    ``patient``: nobody waits for the text, so a segment only fails when the line is dead for good.
    """

    def __init__(self, *, patient: bool = False) -> None:
        self._line = Line(patient=patient)
        self._kept: deque[tuple[float, bytes]] = deque()  # start on the call's clock, 20 ms PCMU
        self._unsent: list[tuple[float, bytes]] = []
        self._timeline = Timeline()
        self._spans: deque[Span] = deque(maxlen=_KEPT_SPANS)
        self._finals: list[Word] = []  # not given out yet
        self._interims: list[Word] = []
        self._final_to = float("-inf")  # on the call's clock
        self._heard_to = float("-inf")
        self._sent_at = self._said_at = 0.0
        self._ending = False
        self.done = False

    # --- what happens -----------------------------------------------------------------------------------------------

    def start(self, now: float) -> list[Effect]:
        """See :class:`~sivo.speech.live.LiveCore`."""
        return self._line.connect()

    def audio(self, now: float, end_ms: int, ulaw: bytes) -> list[Effect]:
        """See :class:`~sivo.speech.live.LiveCore`."""
        frame = (float(end_ms - FRAME_MS), ulaw)
        self._kept.append(frame)
        if len(self._kept) > REPLAY_MS // FRAME_MS:
            self._kept.popleft()
        if self._line.state != "open":
            return []
        self._unsent.append(frame)
        return self._flush(now) if len(self._unsent) * FRAME_MS >= FRAME_OUT_MS else []

    def begin(self, now: float, segment: int, start_ms: float) -> list[Effect]:
        """See :class:`~sivo.speech.live.LiveCore`."""
        self._spans.append(Span(segment, start_ms))
        return self._tell_interims()

    def finish(self, now: float, segment: int, end_ms: float) -> list[Effect]:
        """See :class:`~sivo.speech.live.LiveCore`."""
        span = self._span(segment)
        if span is None:
            return []
        span.end_ms, span.asked_at, span.settled = end_ms, now, False
        out = self._settle(now)
        if span.settled:
            return out
        if self._line.hopeless:
            return [*out, *self._fail_waiting()]
        return [*out, *self._finalize(now)]

    def drop(self, segment: int) -> None:
        """See :class:`~sivo.speech.live.LiveCore`. Words of a voice that was too short for one stand for themselves."""
        span = self._span(segment)
        if span is not None and span.asked_at is None:
            self._spans.remove(span)
        elif span is not None:
            self._consume(span)

    def opened(self, now: float) -> list[Effect]:
        """See :class:`~sivo.speech.live.LiveCore`."""
        self._line.up()
        self._timeline = Timeline()
        self._interims.clear()
        self._heard_to = self._final_to
        self._said_at = self._sent_at = now
        self._unsent = list(self._kept)
        out: list[Effect] = [SttReady(), *self._flush(now, _REPLAY_BYTES)]
        if any(span.asked_at is not None and not span.settled for span in self._spans):
            out += self._finalize(now)
        if self._ending:
            out += self.end(now)
        return out

    def closed(self, now: float, error: ProviderError, *, fatal: bool = False) -> list[Effect]:
        """See :class:`~sivo.speech.live.LiveCore`."""
        if self._ending and self._line.state == "open" and not self._waiting():
            self.done = True
            self._line.state = "dead"
            return self._orphans()
        self._line.lost(now, error, fatal)
        self._unsent.clear()
        out: list[Effect] = [SttTrouble(error)]
        if self._line.hopeless:
            out += self._fail_waiting()
            self.done = self._ending
        return [*out, *self.tick(now)]

    def tick(self, now: float) -> list[Effect]:
        """See :class:`~sivo.speech.live.LiveCore`."""
        if self._line.due(now):
            return self._line.connect()
        if self._line.state != "open":
            return []
        out = self._settle(now)
        if self._stalled(now):
            return [*out, Hang(), *self.closed(now, self._line.stalled())]
        if now - self._sent_at >= KEEP_ALIVE_MS:
            out += self._say(now, {"type": "KeepAlive"})
        return out

    def end(self, now: float) -> list[Effect]:
        """See :class:`~sivo.speech.live.LiveCore`."""
        self._ending = True
        if self._line.state == "dead":
            self.done = True
        if self._line.state != "open":
            return []
        return [*self._flush(now), *self._say(now, {"type": "CloseStream"})]

    # --- what the server says ---------------------------------------------------------------------------------------

    def message(self, now: float, raw: str | bytes) -> list[Effect]:
        """See :class:`~sivo.speech.live.LiveCore`."""
        self._said_at = now
        try:
            body: Any = json.loads(raw)
            kind = body["type"]
            results = msgspec.convert(body, _Results) if kind == "Results" else None
        except (ValueError, TypeError, KeyError):
            return self._garbage(now)
        if results is not None:
            self._line.failures = self._line.stalls = 0
            return self._results(now, results)
        if kind == "UtteranceEnd":
            return [*self._settle(now), *self._orphans()]
        if kind == "Error":
            name = str(body.get("variant") or body.get("description") or "no reason given")[:80]
            return [Hang(), *self.closed(now, ProviderError("rejected", f"the engine reports an error: {name}"))]
        if kind == "Metadata" and self._ending:
            return [*self._settle(now, whole=True), *self._orphans()]
        return []

    def _garbage(self, now: float) -> list[Effect]:
        return [Hang(), *self.closed(now, ProviderError("garbage", "the engine sent something that cannot be read"))]

    def _results(self, now: float, results: _Results) -> list[Effect]:
        if not results.channel.alternatives:
            return []
        covered = self._timeline.call_ms((results.start + results.duration) * 1000)
        self._heard_to = max(self._heard_to, covered)
        words = [self._word(word) for word in results.channel.alternatives[0].words]
        if not results.is_final:
            self._interims = [word for word in words if word.middle_ms > self._final_to]
            return [*self._tell_interims(), *self._settle(now)]
        self._finals += [word for word in words if word.middle_ms > self._final_to and not self._told(word)]
        self._final_to = max(self._final_to, covered)
        self._interims = [word for word in self._interims if word.middle_ms > self._final_to]
        while self._kept and self._kept[0][0] + FRAME_MS <= self._final_to:
            self._kept.popleft()
        out = [*self._tell_interims(), *self._settle(now, whole=results.from_finalize)]
        return [*out, *self._orphans()] if results.speech_final or results.from_finalize else out

    def _word(self, word: _Word) -> Word:
        call = self._timeline.call_ms
        return Word(word.punctuated_word or word.word, call(word.start * 1000), call(word.end * 1000))

    # --- words and segments -----------------------------------------------------------------------------------------

    def _told(self, word: Word) -> bool:
        """Whether the segment of a word has its text already (from an interim)."""
        span = nearest(self._spans, word)
        return span is not None and span.settled

    def _of(self, span: Span, words: list[Word]) -> list[Word]:
        return [word for word in words if nearest(self._spans, word) is span]

    def _tell_interims(self) -> list[Effect]:
        out: list[Effect] = []
        for span in self._spans:
            text = "" if span.settled else text_of(self._of(span, self._finals) + self._of(span, self._interims))
            if text and text != span.interim:
                span.interim = text
                out.append(SttText(span.number, text, False))
        return out

    def _settle(self, now: float, *, whole: bool = False) -> list[Effect]:
        """Give final texts to segments whose time has come; ``whole``: the server has nothing more about the past."""
        out: list[Effect] = []
        for span in self._waiting():
            assert span.end_ms is not None and span.asked_at is not None
            words = self._of(span, self._finals)
            final = whole or self._final_to >= span.end_ms + TAIL_MS
            if not final:
                # The timer: what was heard of all of it must do. Nothing heard yet is no reason to give up.
                if now - span.asked_at < FINAL_WAIT_MS or self._heard_to < span.end_ms:
                    continue
                words += self._of(span, self._interims)
            bounds = (words[0].start_ms, words[-1].end_ms) if words else (None, None)
            out.append(SttText(span.number, text_of(words), True, *bounds))
            self._consume(span)
        return out

    def _consume(self, span: Span) -> None:
        taken = {id(word) for word in self._of(span, self._finals)}
        self._finals = [word for word in self._finals if id(word) not in taken]
        span.settled, span.told_to = True, max(self._final_to, self._heard_to)

    def _orphans(self) -> list[Effect]:
        """Words where our VAD heard no voice."""
        words = [word for word in self._finals if nearest(self._spans, word) is None]
        if not words:
            return []
        self._finals = [word for word in self._finals if word not in words]
        return [SttText(None, text_of(words), True, words[0].start_ms, words[-1].end_ms)]

    def _waiting(self) -> list[Span]:
        return [span for span in self._spans if span.asked_at is not None and not span.settled]

    def _fail_waiting(self) -> list[Effect]:
        out: list[Effect] = []
        for span in self._waiting():
            assert self._line.error is not None
            span.asked_at = None
            out.append(SttFailed(span.number, self._line.error))
        return out

    def _span(self, number: int) -> Span | None:
        return next((span for span in self._spans if span.number == number), None)

    # --- what goes out ----------------------------------------------------------------------------------------------

    def _stalled(self, now: float) -> bool:
        asked = [span.asked_at for span in self._waiting() if span.asked_at is not None]
        return bool(asked) and now - max(min(asked), self._said_at) >= self._line.stall_ms

    def _finalize(self, now: float) -> list[Effect]:
        if self._line.state != "open":
            return []
        return [*self._flush(now), *self._say(now, {"type": "Finalize"})]

    def _flush(self, now: float, size: int = FRAME_OUT_MS * 8) -> list[Effect]:
        if not self._unsent:
            return []
        for start_ms, frame in self._unsent:
            self._timeline.send(start_ms, len(frame) / 8)
        data = b"".join(frame for _, frame in self._unsent)
        self._unsent = []
        self._sent_at = now
        return [Transmit(data[at : at + size]) for at in range(0, len(data), size)]

    def _say(self, now: float, body: dict[str, str]) -> list[Effect]:
        self._sent_at = now
        return [Transmit(json.dumps(body))]
