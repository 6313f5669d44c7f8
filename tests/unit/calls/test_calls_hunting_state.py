"""What the call's machine makes of tries in turn, and of the agent who gets what nobody answered."""

from __future__ import annotations

from sivo.calls import actions as act
from sivo.calls import inputs as ev
from sivo.calls.state import RING_SECONDS, ROUND_GRACE, CallMachine, Phase


def ringing() -> CallMachine:
    machine = CallMachine()
    for event in (ev.RoutedToCallee(), ev.MediaReady()):
        machine.handle(event)
    assert machine.phase is Phase.RINGING
    return machine


def test_each_try_gets_its_time_before_the_call_gives_up() -> None:
    machine = ringing()
    assert machine.handle(ev.RoundBegun(20.0)) == [act.Arm("ring", 20.0 + ROUND_GRACE)]
    assert machine.handle(ev.RoundBegun(RING_SECONDS)) == [act.Arm("ring", RING_SECONDS)]
    ended = machine.handle(ev.TimerFired("ring"))
    assert act.RejectCaller(480, "Temporarily Unavailable") in ended and machine.phase is Phase.ENDED


def test_an_agent_takes_over_and_talks_once_the_caller_has_acknowledged() -> None:
    machine = ringing()
    assert machine.handle(ev.AgentTakesOver()) == [
        act.Disarm("ring"),
        act.SeatAgent(),
        act.AnswerCaller(),
        act.StartCapture("answer"),
        act.NoteAnswered(),
    ]
    assert machine.phase is Phase.TALKING
    assert machine.handle(ev.CallerAcked()) == [act.StartConversation()]
    assert act.StopConversation("caller_hangup") in machine.handle(ev.CallerHungUp())


def test_nobody_takes_over_what_is_answered_or_over() -> None:
    machine = ringing()
    machine.handle(ev.CalleeAnswered())
    assert machine.handle(ev.AgentTakesOver()) == [] == machine.handle(ev.RoundBegun(20.0))
    machine.handle(ev.CallerHungUp())
    assert machine.handle(ev.AgentTakesOver()) == [] and machine.phase is Phase.ENDED
