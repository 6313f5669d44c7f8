"""The language model behind one interface: chat messages in, pieces of raw text out while they are made."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol


@dataclass(slots=True)
class Usage:
    """Tokens of one request, where the provider says."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


class ChatModel(Protocol):
    """One model of one provider."""

    def stream(self, messages: list[dict[str, str]], usage: Usage) -> AsyncGenerator[str, None]:
        """Raw output in pieces; fills ``usage`` when it is known.

        Raises :class:`sivo.speech.faults.ProviderError` before or between pieces. Closing the iterator closes the
        provider's stream.
        """
        ...


class ThinkFilter:
    """Takes ``<think>…</think>`` and its kin (reasoning written into the answer) out of a stream: it must never be
    spoken, wherever it stands."""

    _NAMES = ("think", "thinking", "thought", "reasoning")
    _OPEN = tuple(f"<{name}>" for name in _NAMES)

    def __init__(self) -> None:
        self._held = ""
        #: What ends the reasoning that is going on; empty outside of any.
        self._until = ""
        #: Blank space before and right behind reasoning is nothing either.
        self._blank = True

    def feed(self, text: str) -> str:
        """Text that is surely no reasoning."""
        self._held += text
        given = ""
        while True:
            if self._until:
                end = self._held.find(self._until)
                if end < 0:
                    self._held = self._held[-len(self._until) :]
                    return given
                self._held, self._until = self._held[end + len(self._until) :], ""
                self._blank = not given
            found = min(((self._held.find(tag), tag) for tag in self._OPEN if tag in self._held), default=None)
            if found is None:
                return given + self._take(len(self._held) - self._maybe())
            place, tag = found
            given += self._take(place)
            self._held = self._held[len(tag) :]
            self._until = f"</{tag[1:]}"

    def flush(self) -> str:
        """What was held back, unless it is unfinished reasoning."""
        return "" if self._until else self._take(len(self._held))

    def _maybe(self) -> int:
        """Length of the end that may be the beginning of a tag."""
        start = self._held.rfind("<")
        rest = self._held[start:] if start >= 0 else ""
        return len(rest) if rest and any(tag.startswith(rest) for tag in self._OPEN) else 0

    def _take(self, size: int) -> str:
        taken, self._held = self._held[:size], self._held[size:]
        if self._blank:
            taken = taken.lstrip()
            self._blank = not taken
        return taken
