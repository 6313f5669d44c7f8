"""Everything that can happen to a call; what :class:`sivo.calls.state.CallMachine` takes in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RoutedToAgent:
    """The call came in and an AI agent is to answer it."""


@dataclass(frozen=True, slots=True)
class RoutedToCallee:
    """The call came in and somebody else's phone (extension or trunk) is to ring."""


@dataclass(frozen=True, slots=True)
class RoutedNowhere:
    """The call came in and is refused."""

    status: int
    phrase: str
    cause: str


@dataclass(frozen=True, slots=True)
class MediaReady:
    """Session and caller's leg are there; the SDP answer can be written."""


@dataclass(frozen=True, slots=True)
class MediaRefused:
    """No media process takes the call, or the one that had it refused a command."""

    code: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class MediaDied:
    """The media process of this call is gone."""


@dataclass(frozen=True, slots=True)
class CallerAcked:
    """The caller confirmed our 200."""


@dataclass(frozen=True, slots=True)
class CallerAckMissing:
    """No ACK for our 200 within 64*T1."""


@dataclass(frozen=True, slots=True)
class CallerCancelled:
    """CANCEL before the answer."""


@dataclass(frozen=True, slots=True)
class CallerHungUp:
    """BYE from the caller."""


@dataclass(frozen=True, slots=True)
class CalleeRinging:
    """A provisional answer other than 100."""


@dataclass(frozen=True, slots=True)
class CalleeEarlyMedia:
    """A callee's side plays something before it answers; its stream is agreed on."""


@dataclass(frozen=True, slots=True)
class SessionExpired:
    """A phone did not refresh its session in time, or did not answer our refresh; ``leg`` is caller or callee."""

    leg: str


@dataclass(frozen=True, slots=True)
class CalleeAnswered:
    """One of the callee's phones answered and has our ACK."""


@dataclass(frozen=True, slots=True)
class CalleeFailed:
    """Every phone of the callee said no; ``status`` is the best final answer."""

    status: int


@dataclass(frozen=True, slots=True)
class RoundBegun:
    """The next phones of the callee are being rung, for ``seconds`` at most."""

    seconds: float


@dataclass(frozen=True, slots=True)
class AgentTakesOver:
    """Nobody of a ring group has answered, and an AI agent is to."""


@dataclass(frozen=True, slots=True)
class CalleeHungUp:
    """BYE from the callee."""


@dataclass(frozen=True, slots=True)
class TransferLost:
    """A transfer to ``to`` has failed and nobody is left to return to."""

    to: str


@dataclass(frozen=True, slots=True)
class PassedOn:
    """One party went on in another call, the other one is done."""


@dataclass(frozen=True, slots=True)
class ConversationFinished:
    """The AI agent is done; ``transfer_to`` only with the reason ``transfer``."""

    reason: str
    transfer_to: str = ""


@dataclass(frozen=True, slots=True)
class AudioLost:
    """A leg that should send RTP has not done so for too long."""

    leg: str


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A timer armed by the machine ran out."""

    name: str


@dataclass(frozen=True, slots=True)
class Fault:
    """Something of ours broke while an action was carried out."""

    detail: str


@dataclass(frozen=True, slots=True)
class ShuttingDown:
    """The operator stops this node."""


Input = (
    RoutedToAgent
    | RoutedToCallee
    | RoutedNowhere
    | MediaReady
    | MediaRefused
    | MediaDied
    | CallerAcked
    | CallerAckMissing
    | CallerCancelled
    | CallerHungUp
    | CalleeRinging
    | CalleeEarlyMedia
    | SessionExpired
    | CalleeAnswered
    | CalleeFailed
    | RoundBegun
    | AgentTakesOver
    | CalleeHungUp
    | TransferLost
    | PassedOn
    | ConversationFinished
    | AudioLost
    | TimerFired
    | Fault
    | ShuttingDown
)
