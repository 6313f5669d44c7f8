"""What the model is told was said: the agent's words only as far as they were really heard."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

_WORD = re.compile(r"\S+")
#: How long a character takes while the length of an utterance is not known yet (about 15 a second).
ESTIMATED_MS_PER_CHAR = 65.0


@dataclass(frozen=True, slots=True)
class Cut:
    """How much of an utterance was heard."""

    text: str
    #: Where in the audio the first word begins that was not heard to its end.
    resume_ms: int
    #: Nothing was missed.
    whole: bool


def cut(text: str, audio_ms: float, played_ms: float, *, complete: bool = True, ends: Sequence[float] = ()) -> Cut:
    """The whole words of ``text`` that ended by ``played_ms``.

    ``ends`` says when the words end, as far as the provider has told; without it, and behind it, words are placed in
    proportion to their characters. While the audio is not ``complete`` its length is taken as no
    shorter than what the text will need.
    """
    if complete and played_ms >= audio_ms:
        return Cut(text, int(audio_ms), True)
    length = audio_ms if complete else max(audio_ms, len(text) * ESTIMATED_MS_PER_CHAR)
    end, resume = 0, 0.0
    for place, match in enumerate(_WORD.finditer(text)):
        starts, ended = length * match.start() / len(text), length * match.end() / len(text)
        if place < len(ends):
            starts, ended = (ends[place - 1] if place else 0.0), ends[place]
        if ended > played_ms:
            resume = min(starts, played_ms)
            break
        end, resume = match.end(), played_ms
    return Cut(text[:end], int(resume), False)


@dataclass(slots=True)
class _Entry:
    role: str
    text: str
    action: str = "continue"
    variables: dict[str, Any] = field(default_factory=dict)


class Context:
    """Chat messages of one conversation. Assistant turns are kept as the JSON that the model is asked for."""

    def __init__(self, system: str) -> None:
        self._system = system
        self._entries: list[_Entry] = []

    def user(self, text: str) -> None:
        """The caller said ``text``. Follows an unanswered user message by joining it: the model wants one message."""
        if self._entries and self._entries[-1].role == "user":
            self._entries[-1].text = f"{self._entries[-1].text} {text}".strip()
        else:
            self._entries.append(_Entry("user", text))

    def agent(self, text: str, action: str = "continue", variables: dict[str, Any] | None = None) -> None:
        """The agent was heard to say ``text``. Words of its own accord (a reprompt) carry the last variables on, so
        that a model that follows its own variables does not lose the thread. Empty text leaves no trace."""
        if not text and action == "continue":
            return
        last = next((entry.variables for entry in reversed(self._entries) if entry.role == "assistant"), {})
        self._entries.append(_Entry("assistant", text, action, dict(last if variables is None else variables)))

    def messages(self, note: str = "") -> list[dict[str, str]]:
        """For a request: the system message (with ``note`` at its end), then what was said."""
        system = f"{self._system}\n\n{note}" if note else self._system
        return [{"role": "system", "content": system}, *(self._message(entry) for entry in self._entries)]

    @staticmethod
    def _message(entry: _Entry) -> dict[str, str]:
        if entry.role == "user":
            return {"role": "user", "content": entry.text}
        content = {"response": entry.text, "action": entry.action, "variables": entry.variables}
        return {"role": "assistant", "content": json.dumps(content, ensure_ascii=False)}
