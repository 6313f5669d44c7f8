"""Everything that a call can want done; what :class:`sivo.calls.state.CallMachine` gives out."""

from __future__ import annotations

from dataclasses import dataclass

from sivo.calls.causes import Cause


@dataclass(frozen=True, slots=True)
class OpenMedia:
    """Find a media process, open the session, add the caller's leg. Answered by MediaReady or MediaRefused."""


@dataclass(frozen=True, slots=True)
class RingCaller:
    """180 to the caller."""


@dataclass(frozen=True, slots=True)
class PassEarlyMedia:
    """183 with our SDP to the caller, who hears the callee's side."""


@dataclass(frozen=True, slots=True)
class AnswerCaller:
    """200 with our SDP to the caller."""


@dataclass(frozen=True, slots=True)
class RejectCaller:
    """Final answer other than 2xx; ``retry_after`` in seconds."""

    status: int
    phrase: str
    retry_after: int | None = None


@dataclass(frozen=True, slots=True)
class HangUpCaller:
    """BYE to the caller."""

    cause: Cause


@dataclass(frozen=True, slots=True)
class InviteCallee:
    """Ring the target of the route, or of the transfer when ``transfer_to`` is set."""

    transfer_to: str = ""


@dataclass(frozen=True, slots=True)
class DropCallee:
    """CANCEL phones that ring, BYE one that answered."""

    cause: Cause


@dataclass(frozen=True, slots=True)
class StartCapture:
    """The moment of the answer: the capture clock starts; ``phase`` is ``answer`` or ``bridge``."""

    phase: str


@dataclass(frozen=True, slots=True)
class Recapture:
    """Decide on capture again, for another party took over."""

    phase: str


@dataclass(frozen=True, slots=True)
class BridgeLegs:
    """Caller and callee hear each other."""


@dataclass(frozen=True, slots=True)
class SeatAgent:
    """The AI agent that stands in for a ring group gets the call, with the configuration that it pins."""


@dataclass(frozen=True, slots=True)
class StartConversation:
    """The AI agent begins to talk."""


@dataclass(frozen=True, slots=True)
class SayGoodbye:
    """The AI agent says its closing words and nothing else."""


@dataclass(frozen=True, slots=True)
class StopConversation:
    """The AI agent falls silent."""

    reason: str


@dataclass(frozen=True, slots=True)
class CloseMedia:
    """End the media session."""

    reason: str


@dataclass(frozen=True, slots=True)
class Arm:
    """Start (or restart) the timer ``name``."""

    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Disarm:
    """Stop the timer ``name``."""

    name: str


@dataclass(frozen=True, slots=True)
class NoteRinging:
    """Write down that a phone rings."""


@dataclass(frozen=True, slots=True)
class NoteAnswered:
    """Write down that the call was answered."""


@dataclass(frozen=True, slots=True)
class NoteEnded:
    """Write down that the call ended; ``by`` is ``caller``, ``callee`` or ``platform``."""

    cause: Cause
    by: str
    detail: str = ""


Action = (
    OpenMedia
    | RingCaller
    | PassEarlyMedia
    | AnswerCaller
    | RejectCaller
    | HangUpCaller
    | InviteCallee
    | DropCallee
    | StartCapture
    | Recapture
    | BridgeLegs
    | SeatAgent
    | StartConversation
    | SayGoodbye
    | StopConversation
    | CloseMedia
    | Arm
    | Disarm
    | NoteRinging
    | NoteAnswered
    | NoteEnded
)
