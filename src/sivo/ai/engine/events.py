"""What can happen to a conversation. Every result of a provider carries the number that asked for it."""

from __future__ import annotations

from dataclasses import dataclass

from sivo.speech.alignment import Alignment
from sivo.speech.faults import Cause, Stage


@dataclass(frozen=True, slots=True)
class Voice:
    """One VAD window; its end is ``at_ms``. ``echo``: it looks like the agent's own voice."""

    at_ms: float
    voiced: bool
    length_ms: float = 32
    echo: bool = False


@dataclass(frozen=True, slots=True)
class Sent:
    """A frame of agent speech has left the socket, or silence (``utterance`` None)."""

    utterance: int | None = None
    epoch: int = 0
    offset_ms: float = 0
    duration_ms: float = 20
    last: bool = False


@dataclass(frozen=True, slots=True)
class Heard:
    """Text for a voice segment; ``segment`` None = the engine found words where our VAD found no voice."""

    segment: int | None
    text: str
    final: bool = True
    #: Where the words end on the call's clock, when the engine says so.
    end_ms: float | None = None


@dataclass(frozen=True, slots=True)
class HeardFailed:
    """Speech-to-text failed for a segment."""

    segment: int
    cause: Cause
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of raw model output."""

    epoch: int
    text: str


@dataclass(frozen=True, slots=True)
class TokensDone:
    """The model has finished."""

    epoch: int


@dataclass(frozen=True, slots=True)
class TokensFailed:
    """The model failed."""

    epoch: int
    cause: Cause
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Audio:
    """``ms`` more of an utterance was put into play-out."""

    epoch: int
    utterance: int
    ms: float


@dataclass(frozen=True, slots=True)
class Aligned:
    """When the characters of an utterance are heard, up to the audio that comes next."""

    epoch: int
    utterance: int
    alignment: Alignment


@dataclass(frozen=True, slots=True)
class AudioDone:
    """An utterance is completely synthesised."""

    epoch: int
    utterance: int


@dataclass(frozen=True, slots=True)
class AudioFailed:
    """Synthesis of an utterance failed."""

    epoch: int
    utterance: int
    cause: Cause
    detail: str = ""


@dataclass(frozen=True, slots=True)
class PhraseReady:
    """A phrase that was to be synthesised ahead can now be played without a provider."""

    text: str


@dataclass(frozen=True, slots=True)
class FailedOver:
    """The second provider of a stage has taken over, because of this fault of the first one."""

    stage: Stage
    cause: Cause
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Used:
    """Something that a provider counts was used (``llm_prompt_tokens`` …)."""

    name: str
    amount: float


@dataclass(frozen=True, slots=True)
class Key:
    """The caller pressed a DTMF key."""

    digit: str


@dataclass(frozen=True, slots=True)
class Stop:
    """End at once; ``reason`` is from :data:`sivo.media.protocol.EXIT_REASONS`."""

    reason: str


Event = (
    Voice
    | Sent
    | Heard
    | HeardFailed
    | Token
    | TokensDone
    | TokensFailed
    | Audio
    | Aligned
    | AudioDone
    | AudioFailed
    | PhraseReady
    | FailedOver
    | Used
    | Key
    | Stop
)
