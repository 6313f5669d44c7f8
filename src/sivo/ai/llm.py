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
    """Takes ``<think>…</think>`` (reasoning written into the answer) out of a stream: it must never be spoken."""

    _OPEN, _CLOSE = "<think>", "</think>"

    def __init__(self) -> None:
        self._held = ""
        self._inside = False
        self._begun = False

    def feed(self, text: str) -> str:
        """Text that is surely no reasoning. Only reasoning at the very start is looked for."""
        if self._begun:
            return text
        self._held += text
        if not self._inside:
            start = self._held.lstrip()
            if start.startswith(self._OPEN):
                self._inside, self._held = True, start[len(self._OPEN) :]
            elif self._OPEN.startswith(start):
                return ""
            else:
                return self.flush()
        end = self._held.find(self._CLOSE)
        if end < 0:
            return ""
        self._inside, self._held = False, self._held[end + len(self._CLOSE) :].lstrip()
        return self.feed("")

    def flush(self) -> str:
        """What was held back, unless it is unfinished reasoning."""
        if self._inside:
            return ""
        self._begun = True
        held, self._held = self._held, ""
        return held
