"""ElevenLabs Scribe v2 realtime from the client's side, without I/O.

Source: https://elevenlabs.io/docs/api-reference/speech-to-text/v-1-speech-to-text-realtime. The rules that matter:

- the stream never stops: silence goes out while there is no audio, or the server closes it after a few seconds;
- we commit at our own end of speech, never under 0.3 s of uncommitted audio; each commit is answered by one
  ``committed_transcript``, in order, and a text that nobody asked for and that was there before is a duplicate;
- audio and commits are kept until they are answered and sent again on a new connection.
"""

from __future__ import annotations

import base64
import json
from collections import deque
from dataclasses import dataclass
from typing import Any

from sivo.speech.faults import Cause, ProviderError
from sivo.speech.live import REPLAY_MS, Effect, Hang, Line, Transmit
from sivo.speech.stt import FRAME_MS, SttFailed, SttReady, SttText, SttTrouble

CHUNK_MS = 100
#: How long audio may be late in the middle of what somebody says before silence takes its place: a busy machine must
#: not cut words in two.
LATE_MS = 1_000
MIN_COMMIT_MS = 300
#: A partial that no voice of ours belongs to and that has not changed for so long is committed by itself.
SETTLED_MS = 700
#: Kept while nothing is being said: a partial comes sooner than that.
_QUIET_MS = 5_000
#: From a word to the partial that has it.
_LAG_MS = 300
_REPLAY_MS = 500
_SILENCE = b"\xff" * (CHUNK_MS * 8)

#: What errors mean: cause, whether trying again is useless, what to say. Two are no errors to us: there was no text.
ERRORS: dict[str, tuple[Cause, bool, str]] = {
    "auth_error": ("rejected", True, "the credential was refused"),
    "quota_exceeded": ("rejected", True, "the account's quota is used up"),
    "unaccepted_terms": ("rejected", True, "the terms of the service have to be accepted in the vendor's console"),
    "input_error": ("rejected", True, "the audio or a message was refused"),
    "invalid_request": ("rejected", True, "the model, the language or a parameter was refused"),
    "chunk_size_exceeded": ("rejected", True, "a chunk of audio is too large"),
    "rate_limited": ("rejected", False, "rate limit exceeded"),
    "queue_overflow": ("refused", False, "the engine's queue is full"),
    "resource_exhausted": ("refused", False, "the engine has no capacity"),
    "transcriber_error": ("refused", False, "the transcriber failed"),
    "session_time_limit_exceeded": ("cut", False, "the session reached its time limit"),
    "error": ("cut", False, "the engine failed"),
}
NO_TEXT = ("commit_throttled", "insufficient_audio_activity")


def query(model: str, language: str) -> list[tuple[str, str]]:
    """Parameters of the stream."""
    return [
        ("model_id", model),
        ("audio_format", "ulaw_8000"),
        ("commit_strategy", "manual"),
        ("language_code", language[:2].lower()),
    ]


@dataclass(slots=True)
class _Commit:
    """A mark in the audio. ``segment`` None: for words without a voice."""

    segment: int | None
    asked_at: float
    #: Said already (from a partial, or dropped): the answer is for nobody.
    settled: bool = False
    sent_at: float | None = None


class Scribe:
    """The :class:`~sivo.speech.live.LiveCore` of Scribe realtime; ``patient`` as in Deepgram's."""

    def __init__(self, *, patient: bool = False) -> None:
        self._line = Line(patient=patient)
        self._kept: deque[bytes | _Commit] = deque()  # not answered yet, in order; bytes are PCMU
        self._kept_ms = 0
        self._unsent: list[bytes] = []
        self._uncommitted_ms = 0
        self._fresh_ms = 0  # audio behind the last commit, kept or not
        self._open: int | None = None
        self._due_commits: list[_Commit] = []  # wait for 0.3 s of audio
        self._partial, self._partial_at = "", 0.0
        self._call_ms = 0
        self._spoken_to = 0.0  # about where the words of the partial end
        self._last_text, self._last_at, self._last_sent_at = "", float("-inf"), 0.0
        self._early = ""  # text that came before anybody asked
        self._sent_at = 0.0
        self._audio_at = float("-inf")
        self._started = False
        self._ending = False
        self.done = False

    # --- what happens -----------------------------------------------------------------------------------------------

    def start(self, now: float) -> list[Effect]:
        """See :class:`~sivo.speech.live.LiveCore`."""
        return self._line.connect()

    def audio(self, now: float, end_ms: int, ulaw: bytes) -> list[Effect]:
        """See :class:`~sivo.speech.live.LiveCore`."""
        self._call_ms, self._audio_at = end_ms, now
        self._kept.append(ulaw)
        self._kept_ms += FRAME_MS
        self._fresh_ms += FRAME_MS
        quiet = self._started and self._open is None and not self._partial and not self._waiting()
        while self._kept_ms > (_QUIET_MS if quiet else REPLAY_MS):
            self._forget_oldest()
        if not self._started:
            return []
        self._unsent.append(ulaw)
        out = self._flush(now) if len(self._unsent) * FRAME_MS >= CHUNK_MS else []
        return [*out, *self._ripe(now)]

    def begin(self, now: float, segment: int, start_ms: float) -> list[Effect]:
        """See :class:`~sivo.speech.live.LiveCore`."""
        self._open = segment
        return self._tell_partial()

    def finish(self, now: float, segment: int, end_ms: float) -> list[Effect]:
        """See :class:`~sivo.speech.live.LiveCore`."""
        if self._open == segment:
            self._open = None
        if self._line.hopeless:
            assert self._line.error is not None
            return [SttFailed(segment, self._line.error)]
        known = next((one for one in self._waiting() if one.segment == segment), None)
        return [] if known is not None else self._ask(now, segment)

    def drop(self, segment: int) -> None:
        """See :class:`~sivo.speech.live.LiveCore`."""
        if self._open == segment:
            self._open = None
        for commit in self._waiting():
            if commit.segment == segment:
                commit.settled = True

    def opened(self, now: float) -> list[Effect]:
        """See :class:`~sivo.speech.live.LiveCore`. Audio waits for ``session_started``."""
        self._line.up()
        self._sent_at = now
        return []

    def closed(self, now: float, error: ProviderError, *, fatal: bool = False) -> list[Effect]:
        """See :class:`~sivo.speech.live.LiveCore`."""
        self._started = False
        if self._ending and not self._waiting():
            self.done, self._line.state = True, "dead"
            return []
        self._line.lost(now, error, fatal)
        self._unsent.clear()
        self._partial = ""
        out: list[Effect] = [SttTrouble(error)]
        if self._line.hopeless:
            out += self._fail_waiting(error)
            self.done = self._ending
        return [*out, *self.tick(now)]

    def tick(self, now: float) -> list[Effect]:
        """See :class:`~sivo.speech.live.LiveCore`."""
        if self._line.due(now):
            return self._line.connect()
        if not self._started:
            if self._line.state == "open" and now - self._sent_at >= self._line.stall_ms:
                return [Hang(), *self.closed(now, self._line.stalled())]
            return []
        out: list[Effect] = []
        waiting = [one.sent_at for one in self._commits() if one.sent_at is not None]
        if waiting and now - waiting[0] >= self._line.stall_ms:
            return [Hang(), *self.closed(now, self._line.stalled())]
        if now - self._sent_at >= CHUNK_MS and not self._unsent and now - self._audio_at >= self._patience():
            out.append(self._chunk(now, _SILENCE))
            self._fresh_ms += CHUNK_MS
        orphan = self._open is None and bool(self._partial) and not self._commits() and not self._due_commits
        if orphan and now - self._partial_at >= SETTLED_MS:
            out += self._ask(now, None)
        if self._ending and not self._waiting():
            self.done = True
        return [*out, *self._ripe(now)]

    def _patience(self) -> int:
        """How long to wait for audio before silence goes out, in milliseconds."""
        return CHUNK_MS if self._open is None or self._due_commits or self._ending else LATE_MS

    def end(self, now: float) -> list[Effect]:
        """See :class:`~sivo.speech.live.LiveCore`."""
        self._ending = True
        out = self._ask(now, self._open) if self._started and self._partial and not self._waiting() else []
        self._open = None
        self.done = self._line.state == "dead" or not self._waiting()
        return out

    # --- what the server says ---------------------------------------------------------------------------------------

    def message(self, now: float, raw: str | bytes) -> list[Effect]:
        """See :class:`~sivo.speech.live.LiveCore`."""
        try:
            body: Any = json.loads(raw)
            kind, text = str(body["message_type"]), str(body.get("text") or "")
        except (ValueError, TypeError, KeyError, AttributeError):
            fault = ProviderError("garbage", "the engine sent something that cannot be read")
            return [Hang(), *self.closed(now, fault)]
        match kind:
            case "session_started":
                return self._replay(now)
            case "partial_transcript":
                if text.strip() != self._partial:
                    self._partial, self._partial_at = text.strip(), now
                    self._spoken_to = self._call_ms - _LAG_MS
                return self._tell_partial()
            case "committed_transcript":
                return self._committed(now, text.strip())
        if kind in NO_TEXT:
            return self._committed(now, self._partial)
        if kind in ERRORS:
            cause, fatal, what = ERRORS[kind]
            return [Hang(), *self.closed(now, ProviderError(cause, f"{kind}: {what}"), fatal=fatal)]
        return []

    def _replay(self, now: float) -> list[Effect]:
        """A new session: everything that was not answered, commits in their places."""
        self._started = True
        self._line.failures = 0
        self._uncommitted_ms = 0
        out: list[Effect] = [SttReady()]
        for item in self._kept:
            if isinstance(item, bytes):
                self._unsent.append(item)
                if len(self._unsent) * FRAME_MS >= _REPLAY_MS:
                    out += self._flush(now)
            else:
                out += self._commit(now, item)
        return [*out, *self._flush(now)]

    def _committed(self, now: float, text: str) -> list[Effect]:
        commit = next(iter(self._commits()), None)
        if commit is None or commit.sent_at is None or self._twice(now, commit.sent_at, text):
            # Nobody has asked: said twice, or committed by the server itself.
            if text != self._last_text:
                self._early = f"{self._early} {text}".strip()
            return []
        self._last_text, self._last_at, self._last_sent_at = text, now, commit.sent_at
        self._line.stalls = 0
        while self._kept:
            gone = self._kept.popleft()
            if gone is commit:
                break
            if isinstance(gone, bytes):
                self._kept_ms -= FRAME_MS
        self._partial = ""
        text, self._early = f"{self._early} {text}".strip(), ""
        if commit.settled or (commit.segment is None and not text):
            return []
        return [SttText(commit.segment, text, True, end_ms=None if commit.segment is not None else self._spoken_to)]

    def _twice(self, now: float, sent_at: float, text: str) -> bool:
        """The same text again, sooner behind its first time than this commit is behind that one's."""
        return text == self._last_text and now - self._last_at < (sent_at - self._last_sent_at) / 2

    # --- segments ---------------------------------------------------------------------------------------------------

    def _tell_partial(self) -> list[Effect]:
        waiting = self._waiting()
        segment = waiting[0].segment if waiting else self._open
        return [SttText(segment, self._partial, False)] if segment is not None and self._partial else []

    def _commits(self) -> list[_Commit]:
        return [item for item in self._kept if isinstance(item, _Commit)]

    def _waiting(self) -> list[_Commit]:
        return [one for one in (*self._commits(), *self._due_commits) if not one.settled]

    def _fail_waiting(self, error: ProviderError) -> list[Effect]:
        waiting = self._waiting()
        for commit in waiting:
            commit.settled = True
        return [SttFailed(one.segment, error) for one in waiting if one.segment is not None]

    def _forget_oldest(self) -> None:
        gone = self._kept.popleft()
        if isinstance(gone, bytes):
            self._kept_ms -= FRAME_MS

    # --- what goes out ----------------------------------------------------------------------------------------------

    def _ask(self, now: float, segment: int | None) -> list[Effect]:
        self._due_commits.append(_Commit(segment, now))
        return self._ripe(now)

    def _ripe(self, now: float) -> list[Effect]:
        """Commits for which there is enough audio now."""
        out: list[Effect] = []
        while self._due_commits and self._fresh_ms >= MIN_COMMIT_MS:
            commit = self._due_commits.pop(0)
            self._kept.append(commit)
            self._fresh_ms = 0
            if self._started:
                out += self._commit(now, commit)
        return out

    def _commit(self, now: float, commit: _Commit) -> list[Effect]:
        out = self._flush(now)
        if self._uncommitted_ms < MIN_COMMIT_MS:
            padding = _SILENCE * -(-(MIN_COMMIT_MS - self._uncommitted_ms) // CHUNK_MS)
            out.append(self._chunk(now, padding))
        commit.sent_at = now
        self._uncommitted_ms = 0
        return [*out, self._message(now, b"", commit=True)]

    def _flush(self, now: float) -> list[Effect]:
        data, self._unsent = b"".join(self._unsent), []
        return [self._chunk(now, data)] if data else []

    def _chunk(self, now: float, ulaw: bytes) -> Transmit:
        self._uncommitted_ms += len(ulaw) // 8
        return self._message(now, ulaw)

    def _message(self, now: float, ulaw: bytes, *, commit: bool = False) -> Transmit:
        self._sent_at = now
        body = {
            "message_type": "input_audio_chunk",
            "audio_base_64": base64.b64encode(ulaw).decode(),
            "commit": commit,
            "sample_rate": 8000,
        }
        return Transmit(json.dumps(body))
