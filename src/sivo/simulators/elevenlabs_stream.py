"""What the multi-context sockets of ElevenLabs accept and do, sans I/O: messages in, orders out.

Two dialects: text-to-speech (``contextId``, ``isFinal``) and text-to-dialogue (snake case, voices by context).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

MAX_CONTEXTS = 5
#: Text is held back until there is so much of it, unless ``auto_mode`` or a flush says otherwise.
BUFFER_TTS, BUFFER_DIALOGUE = 120, 40


@dataclass(frozen=True, slots=True)
class Make:
    """Make audio of ``text`` for a context, after what it already makes."""

    context: str
    text: str


@dataclass(frozen=True, slots=True)
class End:
    """Say that a context is final once its audio is out, and call :meth:`Contexts.over` then."""

    context: str


@dataclass(frozen=True, slots=True)
class Say:
    """Send a message."""

    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Close:
    """Close the socket."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Offence:
    """The client did what the documentation forbids (or warns of)."""

    what: str


Order = Make | End | Say | Close | Offence


@dataclass(slots=True)
class _Context:
    held: str = ""
    got_text: bool = False
    closing: bool = False
    voices: list[str] = field(default_factory=list)


class Contexts:
    """All contexts of one socket."""

    def __init__(self, *, dialogue: bool, auto_mode: bool = False) -> None:
        self._dialogue = dialogue
        self._auto = auto_mode
        self._contexts: dict[str, _Context] = {}
        self._closing = False

    def over(self, context: str) -> list[Order]:
        """The context's ``isFinal`` was sent: it does not count any more."""
        self._contexts.pop(context, None)
        return [Close(1000, "")] if self._closing and not self._contexts else []

    def take(self, text: str) -> list[Order]:
        """One message of the client."""
        try:
            message = json.loads(text)
        except ValueError:
            return self._breach("the message is not JSON", "invalid_message")
        if not isinstance(message, dict):
            return self._breach("the message is not an object", "invalid_message")
        if message.get("close_socket"):
            self._closing = True
            orders: list[Order] = [order for name in self._contexts for order in self._end(name)]
            return orders or [Close(1000, "")]
        if self._dialogue:
            return self._dialogue_message(message)
        return self._speech_message(message)

    # --- text-to-speech ---------------------------------------------------------------------------------------------

    def _speech_message(self, message: dict[str, Any]) -> list[Order]:
        unknown = set(message) - _SPEECH_FIELDS
        if unknown:
            return self._breach(f"{sorted(unknown)[0]} is not a field of a message", "invalid_message")
        name = message.get("context_id", "default" if message.get("text") else None)
        text = message.get("text")
        if name is None:
            return []  # keeps the socket alive
        known = self._contexts.get(name)
        if known is None:
            return self._open_speech(str(name), message)
        orders: list[Order] = []
        if "voice_settings" in message:
            orders.append(Offence("voice_settings after the first message of a context"))
        if known.closing:
            return [*orders, Offence(f"a message for {name}, which is being closed")]
        if isinstance(text, str) and text:
            orders += self._text(str(name), text)
            if not text.endswith(" "):
                orders.append(Offence("text does not end with a space"))
        return orders + self._controls(str(name), message)

    def _open_speech(self, name: str, message: dict[str, Any]) -> list[Order]:
        if not isinstance(message.get("text"), str):
            return [Offence(f"{name} is not open")]
        if message["text"] == "":
            return []
        orders = self._new(name)
        if message["text"] != " ":
            orders += [
                Offence("the first message of a context is not a single space"),
                *self._text(name, message["text"]),
            ]
        return orders + self._controls(name, message)

    # --- text-to-dialogue -------------------------------------------------------------------------------------------

    def _dialogue_message(self, message: dict[str, Any]) -> list[Order]:
        unknown = set(message) - _DIALOGUE_FIELDS
        if unknown:
            return self._breach(f"{sorted(unknown)[0]} is not a field of a message", "invalid_message")
        name = message.get("context_id")
        if not isinstance(name, str) or not name:
            return self._breach("context_id is missing", "invalid_message")
        known = self._contexts.get(name)
        if message.get("voices") is not None:
            if known is not None:
                return self._breach("voices were sent a second time for a context", "voices_already_set")
            orders = self._new(name)
            if name in self._contexts:
                self._contexts[name].voices = [str(one) for one in message["voices"]]
            return orders
        if known is None or known.closing:
            error = {"message": f"context {name} is not open", "error": "unknown_context", "code": 400}
            return [Offence(f"{name} is not open"), Say(error | {"param": "context_id", "context_id": name})]
        orders = []
        for one in message.get("inputs") or []:
            if one.get("voice_id") not in known.voices:
                return self._breach(f"{one.get('voice_id')} is no voice of the context", "unknown_voice")
            orders += self._text(name, str(one.get("text", "")) + " ")
        return orders + self._controls(name, message)

    # --- both -------------------------------------------------------------------------------------------------------

    def _new(self, name: str) -> list[Order]:
        if len(self._contexts) >= MAX_CONTEXTS:
            reason = f"max_contexts_exceeded: Maximum simultaneous contexts exceeded ({MAX_CONTEXTS})."
            return [Offence("a sixth context was opened"), Close(1008, reason)]
        self._contexts[name] = _Context()
        return []

    def _text(self, name: str, text: str) -> list[Order]:
        context = self._contexts[name]
        if text.strip():
            context.got_text = True
        context.held += text
        limit = BUFFER_DIALOGUE if self._dialogue else BUFFER_TTS
        if len(context.held) < limit and not (self._auto and context.held.rstrip().endswith((".", "!", "?"))):
            return []
        return self._flush(name)

    def _flush(self, name: str) -> list[Order]:
        context = self._contexts[name]
        text, context.held = context.held.strip(), ""
        return [Make(name, text)] if text else []

    def _controls(self, name: str, message: dict[str, Any]) -> list[Order]:
        if name not in self._contexts:
            return []
        orders: list[Order] = []
        if message.get("flush"):
            if not self._contexts[name].got_text:
                orders.append(Offence(f"{name} was flushed without text"))
            orders += self._flush(name)
        if message.get("close_context"):
            orders += self._end(name)
        return orders

    def _end(self, name: str) -> list[Order]:
        context = self._contexts[name]
        if context.closing:
            return []
        context.closing = True
        return [*self._flush(name), End(name)]

    def _breach(self, what: str, name: str) -> list[Order]:
        return [Offence(what), Close(1008, f"{name}: {what}"[:120])]


_SPEECH_FIELDS = {
    "text",
    "context_id",
    "voice_settings",
    "generation_config",
    "pronunciation_dictionary_locators",
    "xi_api_key",
    "authorization",
    "flush",
    "close_context",
    "close_socket",
    "try_trigger_generation",
}
_DIALOGUE_FIELDS = {
    "context_id",
    "voices",
    "voice_settings",
    "settings",
    "inputs",
    "flush",
    "close_context",
    "close_socket",
    "keep_alive",
}
