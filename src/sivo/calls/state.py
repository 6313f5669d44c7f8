"""The life of a call as a pure machine: inputs in, actions out, no clock, no socket.

    opening -> talking -> transferring -> bridged
       |   ^      |            +-> goodbye
       +-> ringing -> bridged
    and from everywhere -> ended

One input may come at any time and in any phase; what has no meaning there is ignored, and nothing is ever undone twice.
"""

from __future__ import annotations

from enum import Enum

from sivo.calls import actions as act
from sivo.calls import causes
from sivo.calls import inputs as ev
from sivo.calls.actions import Action
from sivo.calls.causes import Cause
from sivo.calls.inputs import Input

#: Seconds by which a try may last longer than it should, before the call ends it.
ROUND_GRACE = 5.0
#: Seconds that a phone may ring, that a transfer may ring, and that the words after a failed transfer may take.
RING_SECONDS = 60.0
TRANSFER_RING_SECONDS = 25.0
GOODBYE_SECONDS = 15.0
#: Seconds after which a refused caller may try again.
RETRY_AFTER = 5


class Phase(Enum):
    """Where the call stands."""

    NEW = "new"
    OPENING = "opening"
    RINGING = "ringing"
    TALKING = "talking"
    TRANSFERRING = "transferring"
    GOODBYE = "goodbye"
    BRIDGED = "bridged"
    ENDED = "ended"


#: Phases in which the caller has our 200.
_ANSWERED = {Phase.TALKING, Phase.TRANSFERRING, Phase.GOODBYE, Phase.BRIDGED}
#: Phases in which phones of a callee may ring or be up.
_WITH_CALLEE = {Phase.RINGING, Phase.TRANSFERRING, Phase.BRIDGED}


class CallMachine:
    """One call. ``handle`` takes what happened and returns what is to be done, in order."""

    def __init__(self) -> None:
        self.phase = Phase.NEW
        self._to_agent = False
        self._media = False
        self._conversing = False

    def handle(self, event: Input) -> list[Action]:
        """Advance the call by one input."""
        common = self._handle_anywhere(event)
        if common is not None:
            return common
        match self.phase:
            case Phase.NEW:
                return self._when_new(event)
            case Phase.OPENING:
                return self._when_opening(event)
            case Phase.RINGING:
                return self._when_ringing(event)
            case Phase.TALKING:
                return self._when_talking(event)
            case Phase.TRANSFERRING:
                return self._when_transferring(event)
            case Phase.GOODBYE:
                return self._when_goodbye(event)
            case Phase.BRIDGED:
                return self._when_bridged(event)
            case Phase.ENDED:
                return self._when_ended(event)

    def _handle_anywhere(self, event: Input) -> list[Action] | None:
        """Ends that are possible in every phase but the last; None when ``event`` is none of them."""
        if self.phase is Phase.ENDED:
            return None
        match event:
            case ev.MediaDied():
                self._media = False
                self._conversing = False
                return self._end(causes.NODE_FAILURE, "platform", "media process died")
            case ev.Fault(detail):
                return self._end(causes.CAUSES["internal_error"], "platform", detail, exit_reason="provider_failure")
            case ev.ShuttingDown():
                return self._end(causes.SHUTDOWN, "platform", exit_reason="shutdown")
            case ev.MediaRefused(code, detail):
                cause = causes.CAUSES["SWITCH_CONGESTION"]
                return self._end(cause, "platform", f"{code}: {detail}".removesuffix(": "))
            case ev.CallerHungUp() if self.phase in _ANSWERED:
                return self._end(causes.NORMAL, "caller", exit_reason="caller_hangup")
            case ev.CallerAckMissing() if self.phase in _ANSWERED:
                return self._end(causes.CAUSES["no_ack"], "platform", exit_reason="caller_hangup")
            case ev.AudioLost(leg) if self.phase in _ANSWERED:
                detail = f"no RTP from the {leg}"
                return self._end(causes.CAUSES["rtp_timeout"], "platform", detail, exit_reason="caller_hangup")
            case ev.SessionExpired(leg) if self.phase in _ANSWERED:
                detail = f"the {leg} did not refresh its session"
                return self._end(causes.CAUSES["session_expired"], "platform", detail, exit_reason="caller_hangup")
            case ev.CallerCancelled() if self.phase not in _ANSWERED:
                return self._end(causes.CAUSES["ORIGINATOR_CANCEL"], "caller", reject=(487, "Request Terminated"))
        return None

    def _when_new(self, event: Input) -> list[Action]:
        match event:
            case ev.RoutedToAgent():
                self._to_agent = True
                self.phase = Phase.OPENING
                return [act.OpenMedia(), act.RingCaller(), act.NoteRinging()]
            case ev.RoutedToCallee():
                self.phase = Phase.OPENING
                return [act.OpenMedia()]
            case ev.RoutedNowhere(status, phrase, cause):
                return self._end(causes.CAUSES[cause], "platform", f"{status} {phrase}", reject=(status, phrase))
        return []

    def _when_opening(self, event: Input) -> list[Action]:
        if not isinstance(event, ev.MediaReady):
            return []
        self._media = True
        if self._to_agent:
            self.phase = Phase.TALKING
            return [act.AnswerCaller(), act.StartCapture("answer"), act.NoteAnswered()]
        self.phase = Phase.RINGING
        return [act.InviteCallee(), act.Arm("ring", RING_SECONDS)]

    def _when_ringing(self, event: Input) -> list[Action]:
        match event:
            case ev.CalleeRinging():
                return [act.RingCaller(), act.NoteRinging()]
            case ev.CalleeEarlyMedia():
                return [act.PassEarlyMedia()]
            case ev.CalleeAnswered():
                self.phase = Phase.BRIDGED
                return [
                    act.Disarm("ring"),
                    act.AnswerCaller(),
                    act.StartCapture("bridge"),
                    act.BridgeLegs(),
                    act.NoteAnswered(),
                ]
            case ev.CalleeFailed(status):
                return self._end(
                    causes.of_status(status), "callee", f"callee answered {status}", reject=_passed(status)
                )
            case ev.RoundBegun(seconds):
                return [act.Arm("ring", seconds if seconds >= RING_SECONDS else seconds + ROUND_GRACE)]
            case ev.AgentTakesOver():
                self.phase = Phase.TALKING
                return [
                    act.Disarm("ring"),
                    act.SeatAgent(),
                    act.AnswerCaller(),
                    act.StartCapture("answer"),
                    act.NoteAnswered(),
                ]
            case ev.TimerFired("ring"):
                return self._end(causes.CAUSES["NO_ANSWER"], "platform", reject=(480, "Temporarily Unavailable"))
        return []

    def _when_talking(self, event: Input) -> list[Action]:
        match event:
            case ev.CallerAcked() if not self._conversing:
                self._conversing = True
                return [act.StartConversation()]
            case ev.ConversationFinished("transfer", transfer_to) if transfer_to:
                self._conversing = False
                self.phase = Phase.TRANSFERRING
                return [act.InviteCallee(transfer_to), act.Arm("transfer", TRANSFER_RING_SECONDS)]
            case ev.ConversationFinished(reason):
                self._conversing = False
                return self._end(causes.of_exit(reason), "platform")
        return []

    def _when_transferring(self, event: Input) -> list[Action]:
        match event:
            case ev.CalleeAnswered():
                self.phase = Phase.BRIDGED
                return [act.Disarm("transfer"), act.BridgeLegs(), act.Recapture("bridge")]
            case ev.CalleeFailed():
                self.phase = Phase.GOODBYE
                return [act.Disarm("transfer"), *self._goodbye()]
            case ev.TimerFired("transfer"):
                self.phase = Phase.GOODBYE
                return [act.DropCallee(causes.CAUSES["NO_ANSWER"]), *self._goodbye()]
        return []

    def _when_goodbye(self, event: Input) -> list[Action]:
        match event:
            case ev.ConversationFinished():
                self._conversing = False
                return self._end(causes.CAUSES["transfer_failed"], "platform")
            case ev.TimerFired("goodbye"):
                return self._end(causes.CAUSES["transfer_failed"], "platform", exit_reason="provider_failure")
            case ev.CalleeAnswered():
                return [act.DropCallee(causes.CAUSES["NO_ANSWER"])]
        return []

    def _when_bridged(self, event: Input) -> list[Action]:
        match event:
            case ev.CalleeHungUp():
                return self._end(causes.NORMAL, "callee")
            case ev.TransferLost(to):
                return self._end(causes.CAUSES["transfer_failed"], "platform", f"{to} did not answer")
            case ev.PassedOn():
                return self._end(causes.NORMAL, "platform", "joined with another call")
        return []

    def _when_ended(self, event: Input) -> list[Action]:
        match event:
            case ev.MediaReady():
                return [act.CloseMedia("ended")]
            case ev.CalleeAnswered():
                return [act.DropCallee(causes.NORMAL)]
        return []

    def _goodbye(self) -> list[Action]:
        self._conversing = True
        return [act.SayGoodbye(), act.Arm("goodbye", GOODBYE_SECONDS)]

    def _end(
        self,
        cause: Cause,
        by: str,
        detail: str = "",
        *,
        reject: tuple[int, str] | None = None,
        exit_reason: str = "",
    ) -> list[Action]:
        """Take everything down: the side that hung up gets nothing more, the others are told why."""
        before, self.phase = self.phase, Phase.ENDED
        todo: list[Action] = [act.Disarm(name) for name in ("ring", "transfer", "goodbye")]
        if before in _ANSWERED:
            if by != "caller":
                todo.append(act.HangUpCaller(cause))
        else:
            status, phrase = reject or (503, "Service Unavailable")
            todo.append(act.RejectCaller(status, phrase, RETRY_AFTER if status == 503 else None))
        if before in _WITH_CALLEE and not (before is Phase.BRIDGED and by == "callee"):
            todo.append(act.DropCallee(cause))
        if self._conversing:
            self._conversing = False
            todo.append(act.StopConversation(exit_reason or "caller_hangup"))
        if self._media:
            todo.append(act.CloseMedia(exit_reason or cause.name))
        todo.append(act.NoteEnded(cause, by, detail))
        return todo


def _passed(status: int) -> tuple[int, str]:
    """The final answer that the caller gets when every phone of the callee answered ``status``."""
    known = {
        403: "Forbidden",
        404: "Not Found",
        408: "Request Timeout",
        480: "Temporarily Unavailable",
        486: "Busy Here",
        488: "Not Acceptable Here",
        600: "Busy Everywhere",
        603: "Decline",
    }
    if status in known:
        return status, known[status]
    return (480, "Temporarily Unavailable") if status < 500 else (503, "Service Unavailable")
