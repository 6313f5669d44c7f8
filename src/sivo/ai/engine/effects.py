"""What a conversation wants done. The runner carries these out, in order; nothing here waits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sivo.media.protocol import FactBody


@dataclass(frozen=True, slots=True)
class Listen:
    """A voice segment began at ``start_ms``; speech-to-text shall take it, pre-roll included."""

    segment: int
    start_ms: float


@dataclass(frozen=True, slots=True)
class Transcribe:
    """The segment ended: ask for its final text now. Comes again for a second try."""

    segment: int
    end_ms: float


@dataclass(frozen=True, slots=True)
class Unlisten:
    """Nobody wants the text of this segment any more."""

    segment: int


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the model; ``messages`` are chat messages with ``role`` and ``content``."""

    epoch: int
    messages: list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class Speak:
    """Synthesise and queue an utterance, behind those with smaller numbers. ``urgent``: what was made ahead goes into
    the play-out at once, past utterances that are still being made. ``keep``: a fixed phrase, worth keeping."""

    epoch: int
    utterance: int
    text: str
    urgent: bool = False
    keep: bool = False


@dataclass(frozen=True, slots=True)
class Tone:
    """Play the shipped neutral tone at once: the last resort when no word can be spoken."""

    epoch: int
    utterance: int


@dataclass(frozen=True, slots=True)
class Prepare:
    """Synthesise these phrases ahead, in this order, and report each with ``PhraseReady``."""

    texts: list[str]


@dataclass(frozen=True, slots=True)
class Unask:
    """Close the model's stream of this epoch; what was already cut into sentences is still spoken."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """Close model stream and synthesis of this epoch; whatever still comes of it is dropped."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Pause:
    """Send silence from the next tick on; keep everything."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Go on playing from ``from_ms`` of an utterance."""

    utterance: int
    from_ms: int


@dataclass(frozen=True, slots=True)
class Clear:
    """Throw away all audio not yet sent."""


@dataclass(frozen=True, slots=True)
class Report:
    """Something became true."""

    body: FactBody


@dataclass(frozen=True, slots=True)
class Tell:
    """Something of the moment, which may be lost."""

    kind: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Finish:
    """The conversation is over: close everything."""


Effect = (
    Listen
    | Transcribe
    | Unlisten
    | Ask
    | Unask
    | Speak
    | Tone
    | Prepare
    | Cancel
    | Pause
    | Resume
    | Clear
    | Report
    | Tell
    | Finish
)
