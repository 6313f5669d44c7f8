"""Where a conversation can be, and what it keeps about the caller's and the agent's speech."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sivo.ai.contract import ContractParser
from sivo.ai.sentences import SentenceCutter


class State(StrEnum):
    """States of one conversation (voice research 6.2)."""

    CONNECTING = "connecting"
    GREETING = "greeting"
    LISTENING = "listening"
    USER_SPEAKING = "user_speaking"
    ENDPOINTING = "endpointing"
    THINKING = "thinking"
    SPEAKING = "speaking"
    COOLDOWN = "cooldown"
    TRANSFERRING = "transferring"
    CLOSING = "closing"
    ENDED = "ended"


class Place(StrEnum):
    """Where a piece of the caller's voice began, which decides what it may do."""

    #: The agent was silent: it is (part of) a user turn.
    TURN = "turn"
    #: The agent was audible or working on a reply: it may interrupt.
    OVER = "over"
    #: Within the cooldown after the agent: possible echo, deferred.
    DEFERRED = "deferred"
    #: The agent may not be interrupted now.
    IGNORED = "ignored"


@dataclass(slots=True)
class VoiceSegment:
    """One stretch of the caller's voice, closed by 200 ms of silence. Times in ms on the capture clock."""

    number: int
    place: Place
    start_ms: float
    #: End of the last voiced window.
    end_ms: float
    voiced_ms: float = 0.0
    closed: bool = False
    #: Whether speech-to-text was told about it.
    sent: bool = False
    interim: str = ""
    #: Final text; None while it is not known.
    final: str | None = None
    final_at: float = 0.0
    closed_at: float = 0.0
    tries: int = 0
    #: Which reply the agent was giving when it began (epoch), for :attr:`Place.OVER`.
    epoch: int = 0

    @property
    def text(self) -> str:
        """Best text so far."""
        return self.interim if self.final is None else self.final


@dataclass(slots=True)
class UserTurn:
    """What the caller is saying or has just said, before it is answered."""

    start_ms: float
    segments: list[VoiceSegment] = field(default_factory=list)
    digits: str = ""
    digits_at: float = 0.0
    #: The reply that this turn interrupted, for recovery when it turns out to be noise.
    interrupted: Reply | None = None

    @property
    def end_ms(self) -> float:
        """End of speech: latencies count from here."""
        return max([segment.end_ms for segment in self.segments] + [self.digits_at])

    @property
    def text(self) -> str:
        """All text so far, in order of speech."""
        parts = [segment.text.strip() for segment in sorted(self.segments, key=lambda item: item.start_ms)]
        return " ".join([part for part in parts if part] + ([" ".join(self.digits)] if self.digits else []))

    @property
    def waiting(self) -> list[VoiceSegment]:
        """Segments whose final text has not come."""
        return [segment for segment in self.segments if segment.final is None]


class Kind(StrEnum):
    """What the agent is saying."""

    GREETING = "greeting"
    ANSWER = "answer"
    NOT_UNDERSTOOD = "not_understood"
    REPROMPT = "reprompt"
    REPLAY = "replay"
    APOLOGY = "apology"
    CLOSING = "closing"


@dataclass(slots=True)
class Utterance:
    """One sentence of the agent on its way to the wire."""

    number: int
    text: str
    filler: bool = False
    #: Milliseconds of audio synthesised so far; ``complete`` when no more comes.
    audio_ms: float = 0.0
    complete: bool = False
    #: Milliseconds really sent.
    played_ms: float = 0.0
    finished: bool = False
    start_ms: float | None = None
    end_ms: float = 0.0
    requested_at: float = 0.0
    tries: int = 0
    #: When its words end (ms of audio), as far as the provider has said.
    word_ends: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Reply:
    """One generation of agent speech. Everything that arrives for it carries its epoch."""

    epoch: int
    kind: Kind
    interruptible: bool = True
    begun_at: float = 0.0
    #: Set for :attr:`Kind.ANSWER` and :attr:`Kind.NOT_UNDERSTOOD`: the user turn that it answers.
    turn: int = 0
    user_text: str = ""
    user_start_ms: float = 0.0
    user_end_ms: float = 0.0
    utterances: list[Utterance] = field(default_factory=list)
    parser: ContractParser = field(default_factory=ContractParser)
    cutter: SentenceCutter = field(default_factory=SentenceCutter)
    #: No more text will come.
    text_complete: bool = False
    requested_at: float = 0.0
    token_at: float | None = None
    tries: int = 0
    action: str = "continue"
    variables: dict[str, Any] = field(default_factory=dict)
    latency: dict[str, float] = field(default_factory=dict)
    filler_used: bool = False
    #: Made for a filler before the caller's text was known.
    awaits_text: bool = False
    #: What failed; the rest that is already synthesised is still played, then the apology.
    failure: str = ""
    #: Stop after the sentence that is being played (``max_duration_sec``).
    stop_after: int | None = None

    @property
    def spoken(self) -> list[Utterance]:
        """The utterances that belong to the reply itself."""
        return [utterance for utterance in self.utterances if not utterance.filler]

    @property
    def started(self) -> bool:
        """Whether a frame of the reply itself has left."""
        return any(utterance.start_ms is not None for utterance in self.spoken)

    @property
    def finished(self) -> bool:
        """Whether everything was said."""
        return self.text_complete and all(utterance.finished for utterance in self.utterances)
