"""The multi-context sockets of ElevenLabs, sans I/O: ``multi-stream-input`` of text-to-speech and of text-to-dialogue.

One context is one utterance. At most five may be open on a socket, and one counts as open until the server has said
``isFinal``, not from the moment at which we asked to close it: closing is asynchronous, and a sixth one closes the
socket with 1008. Audio of a context that nobody wants any more is dropped here.

Source: elevenlabs.io/docs/api-reference/text-to-speech/v-1-text-to-speech-voice-id-multi-stream-input and
.../text-to-dialogue/multi-stream-input.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from sivo.speech.alignment import Alignment, AlignmentClock
from sivo.speech.elevenlabs import named_fault
from sivo.speech.faults import ProviderError

MAX_CONTEXTS = 5


@dataclass(frozen=True, slots=True)
class Sound:
    """Audio of a context (G.711 µ-law, 8 kHz), and the alignment of all its audio so far where the server gave one."""

    context: str
    ulaw: bytes
    alignment: Alignment | None


@dataclass(frozen=True, slots=True)
class Final:
    """Nothing more comes for this context."""

    context: str


@dataclass(frozen=True, slots=True)
class Failed:
    """A context cannot go on; '' = none of them can."""

    context: str
    fault: ProviderError


Result = Sound | Final | Failed


class Dialect(Protocol):
    """How one of the two sockets says things."""

    def opening(self, context: str) -> dict[str, Any]:
        """The first message of a context."""
        ...

    def words(self, context: str, text: str) -> dict[str, Any]:
        """Text to speak."""
        ...

    def keep_alive(self) -> dict[str, Any] | None:
        """What keeps a socket without contexts open; None when nothing does."""
        ...


@dataclass(frozen=True, slots=True)
class TextToSpeech:
    """``/v1/text-to-speech/{voice}/multi-stream-input``."""

    settings: Mapping[str, float] = field(default_factory=dict)

    def opening(self, context: str) -> dict[str, Any]:
        """See :class:`Dialect`; a single space is what the server wants first."""
        return {"text": " ", "context_id": context, "voice_settings": dict(self.settings)}

    def words(self, context: str, text: str) -> dict[str, Any]:
        """See :class:`Dialect`; the server knows the end of a word by the space behind it."""
        return {"text": text + " ", "context_id": context}

    def keep_alive(self) -> dict[str, Any] | None:
        """See :class:`Dialect`."""
        return {"text": ""}


@dataclass(frozen=True, slots=True)
class TextToDialogue:
    """``/v1/text-to-dialogue/multi-stream-input``. ``voices`` a second time on a context would close the socket."""

    voice: str

    def opening(self, context: str) -> dict[str, Any]:
        """See :class:`Dialect`."""
        return {"context_id": context, "voices": [self.voice]}

    def words(self, context: str, text: str) -> dict[str, Any]:
        """See :class:`Dialect`."""
        return {"context_id": context, "inputs": [{"text": text, "voice_id": self.voice}]}

    def keep_alive(self) -> dict[str, Any] | None:
        """See :class:`Dialect`: only registered contexts can be kept alive."""
        return None


class Contexts:
    """The contexts of one socket."""

    def __init__(self, dialect: Dialect, model: str) -> None:
        self._dialect = dialect
        self._model = model
        self._count = 0
        #: Open on the server's side -> its clock, or None when nobody listens to it any more.
        self._open: dict[str, AlignmentClock | None] = {}

    @property
    def full(self) -> bool:
        """Whether another context would be one too many."""
        return len(self._open) >= MAX_CONTEXTS

    @property
    def idle(self) -> bool:
        """Whether no context is open."""
        return not self._open

    def speak(self, text: str) -> tuple[str, list[str]]:
        """A context that says ``text`` and ends, and the messages that make it so. ``ValueError`` when :attr:`full`,
        or when there is no text: a context without any must not be flushed."""
        if self.full:
            raise ValueError("five contexts are open on this socket")
        if not text.strip():
            raise ValueError("a context needs text")
        self._count += 1
        context = f"u{self._count}"
        self._open[context] = AlignmentClock()
        messages = [
            self._dialect.opening(context),
            self._dialect.words(context, text),
            # Without it nothing is made before about 120 (dialogue: 40) characters have come.
            {"context_id": context, "flush": True},
            {"context_id": context, "close_context": True},
        ]
        return context, [json.dumps(message, ensure_ascii=False) for message in messages]

    def forget(self, context: str) -> None:
        """Nobody listens to it any more. It stays open, and counts, until the server has said so."""
        if context in self._open:
            self._open[context] = None

    def keep_alive(self) -> str | None:
        """A message for a socket that nothing is said on, if there is one."""
        message = self._dialect.keep_alive() if self.idle else None
        return json.dumps(message) if message is not None else None

    def take(self, text: str | bytes) -> list[Result]:
        """One message of the server."""
        try:
            message = json.loads(text)
        except ValueError:
            return [Failed("", ProviderError("garbage", "a message of the socket is not JSON"))]
        if not isinstance(message, dict):
            return [Failed("", ProviderError("garbage", "a message of the socket is not an object"))]
        context = str(message.get("contextId") or message.get("context_id") or "")
        if message.get("error"):
            return self._refused(context, message)
        if context not in self._open:
            return []  # late audio of a context that is over
        results = self._sound(context, message)
        if message.get("isFinal") or message.get("is_final"):
            wanted = self._open.pop(context) is not None
            results += [Final(context)] if wanted else []
        return results

    def _sound(self, context: str, message: dict[str, Any]) -> list[Result]:
        clock = self._open[context]
        if clock is None or not message.get("audio"):
            return []
        try:
            ulaw = base64.b64decode(str(message["audio"]), validate=True)
            alignment = _aligned(clock, message.get("alignment"))
        except (binascii.Error, ValueError, TypeError):
            self._open[context] = None
            return [Failed(context, ProviderError("garbage", "a message of the socket holds no usable audio"))]
        return [Sound(context, ulaw, alignment)]

    def _refused(self, context: str, message: dict[str, Any]) -> list[Result]:
        name = str(message.get("error"))[:60]
        fault = named_fault(name, self._model, "error on the socket") or ProviderError(
            "rejected", f"the provider reported an error on the socket{': ' + name if name.isidentifier() else ''}"
        )
        if context and context in self._open:
            wanted = self._open.pop(context) is not None
            return [Failed(context, fault)] if wanted else []
        return [Failed("", fault)]


def _aligned(clock: AlignmentClock, value: Any) -> Alignment | None:
    """Camel case from text-to-speech, snake case from dialogue."""
    if not isinstance(value, dict):
        return None
    characters = value.get("chars")
    starts = value.get("charStartTimesMs", value.get("char_start_times_ms"))
    durations = value.get("charDurationsMs", value.get("charsDurationsMs", value.get("char_durations_ms")))
    if not (isinstance(characters, list) and isinstance(starts, list) and isinstance(durations, list)):
        return None
    return clock.add(
        [str(one) for one in characters], [float(one) for one in starts], [float(one) for one in durations]
    )
