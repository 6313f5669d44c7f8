"""The call's machine: every path, and that nothing is undone twice in whatever order things happen."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sivo.calls import actions as act
from sivo.calls import inputs as ev
from sivo.calls.state import CallMachine, Phase


def run(*events: ev.Input) -> tuple[CallMachine, list[act.Action]]:
    """A fresh machine after ``events``, with what the last of them made it do."""
    machine = CallMachine()
    todo: list[act.Action] = []
    for event in events:
        todo = machine.handle(event)
    return machine, todo


def kinds(todo: list[act.Action]) -> list[str]:
    return [type(action).__name__ for action in todo if not isinstance(action, act.Arm | act.Disarm)]


TALKING = (ev.RoutedToAgent(), ev.MediaReady(), ev.CallerAcked())
BRIDGED = (ev.RoutedToCallee(), ev.MediaReady(), ev.CalleeAnswered())
TRANSFERRING = (*TALKING, ev.ConversationFinished("transfer", "101"))


def test_an_agent_answers_when_media_is_there_and_talks_after_the_ack() -> None:
    machine, todo = run(ev.RoutedToAgent())
    assert kinds(todo) == ["OpenMedia", "RingCaller", "NoteRinging"]
    assert kinds(machine.handle(ev.MediaReady())) == ["AnswerCaller", "StartCapture", "NoteAnswered"]
    assert kinds(machine.handle(ev.CallerAcked())) == ["StartConversation"]
    assert kinds(machine.handle(ev.CallerAcked())) == []


def test_nothing_is_captured_before_somebody_answers() -> None:
    for events in ((ev.RoutedToCallee(),), (ev.RoutedToCallee(), ev.MediaReady()), (*BRIDGED[:2], ev.CalleeRinging())):
        machine = CallMachine()
        done = [name for event in events for name in kinds(machine.handle(event))]
        assert "StartCapture" not in done and "AnswerCaller" not in done


def test_a_callee_that_answers_is_bridged() -> None:
    machine, todo = run(*BRIDGED)
    assert kinds(todo) == ["AnswerCaller", "StartCapture", "BridgeLegs", "NoteAnswered"]
    assert machine.phase is Phase.BRIDGED


@pytest.mark.parametrize(
    ("event", "by", "expected"),
    [
        (ev.CallerHungUp(), "caller", ["DropCallee", "CloseMedia", "NoteEnded"]),
        (ev.CalleeHungUp(), "callee", ["HangUpCaller", "CloseMedia", "NoteEnded"]),
        (ev.ShuttingDown(), "platform", ["HangUpCaller", "DropCallee", "CloseMedia", "NoteEnded"]),
        (ev.MediaDied(), "platform", ["HangUpCaller", "DropCallee", "NoteEnded"]),
        (ev.AudioLost("callee"), "platform", ["HangUpCaller", "DropCallee", "CloseMedia", "NoteEnded"]),
    ],
)
def test_the_end_of_a_bridged_call(event: ev.Input, by: str, expected: list[str]) -> None:
    machine, todo = run(*BRIDGED, event)
    assert kinds(todo) == expected
    assert todo[-1].by == by  # type: ignore[union-attr]
    assert machine.phase is Phase.ENDED


def test_the_end_of_a_conversation_is_the_end_of_the_call_with_its_reason() -> None:
    for reason in ("agent_hangup", "max_turns", "max_duration", "silence", "provider_failure"):
        _, todo = run(*TALKING, ev.ConversationFinished(reason))
        assert kinds(todo) == ["HangUpCaller", "CloseMedia", "NoteEnded"]
        assert todo[-1].cause.name == reason  # type: ignore[union-attr]


def test_a_caller_that_hangs_up_stops_the_conversation_with_that_reason() -> None:
    _, todo = run(*TALKING, ev.CallerHungUp())
    assert kinds(todo) == ["StopConversation", "CloseMedia", "NoteEnded"]
    assert next(a for a in todo if isinstance(a, act.StopConversation)).reason == "caller_hangup"


def test_a_transfer_rings_bridges_and_decides_again() -> None:
    machine, todo = run(*TRANSFERRING)
    assert todo[0] == act.InviteCallee("101")
    assert kinds(machine.handle(ev.CalleeAnswered())) == ["BridgeLegs", "Recapture"]
    assert machine.phase is Phase.BRIDGED


@pytest.mark.parametrize(
    ("failure", "first"), [(ev.CalleeFailed(486), []), (ev.TimerFired("transfer"), ["DropCallee"])]
)
def test_a_failed_transfer_says_goodbye_and_hangs_up(failure: ev.Input, first: list[str]) -> None:
    machine, todo = run(*TRANSFERRING, failure)
    assert kinds(todo) == [*first, "SayGoodbye"]
    end = machine.handle(ev.ConversationFinished("silence"))
    assert kinds(end) == ["HangUpCaller", "CloseMedia", "NoteEnded"]
    assert end[-1].cause.name == "transfer_failed"  # type: ignore[union-attr]


def test_a_transfer_without_a_target_ends_the_call() -> None:
    machine, todo = run(*TALKING, ev.ConversationFinished("transfer", ""))
    assert machine.phase is Phase.ENDED and kinds(todo)[0] == "HangUpCaller"


def test_a_phone_that_answers_too_late_is_hung_up_on() -> None:
    machine, _ = run(*TRANSFERRING, ev.TimerFired("transfer"))
    assert kinds(machine.handle(ev.CalleeAnswered())) == ["DropCallee"]
    machine, _ = run(ev.RoutedToCallee(), ev.MediaReady(), ev.CallerCancelled())
    assert kinds(machine.handle(ev.CalleeAnswered())) == ["DropCallee"]


def test_media_that_comes_after_the_end_is_closed() -> None:
    machine, todo = run(ev.RoutedToAgent(), ev.CallerCancelled())
    assert kinds(todo) == ["RejectCaller", "NoteEnded"]
    assert kinds(machine.handle(ev.MediaReady())) == ["CloseMedia"]


def test_a_refusal_of_media_is_503_with_retry_after() -> None:
    _, todo = run(ev.RoutedToAgent(), ev.MediaRefused("MEDIA_FULL", "it carries 100 calls"))
    reject = next(a for a in todo if isinstance(a, act.RejectCaller))
    assert (reject.status, reject.retry_after) == (503, 5)


@pytest.mark.parametrize(("status", "passed"), [(486, 486), (603, 603), (404, 404), (480, 480), (415, 480), (500, 503)])
def test_what_the_callee_said_reaches_the_caller(status: int, passed: int) -> None:
    _, todo = run(ev.RoutedToCallee(), ev.MediaReady(), ev.CalleeFailed(status))
    assert next(a for a in todo if isinstance(a, act.RejectCaller)).status == passed


EVENTS: list[ev.Input] = [
    ev.RoutedToAgent(),
    ev.RoutedToCallee(),
    ev.MediaReady(),
    ev.MediaRefused("X"),
    ev.MediaDied(),
    ev.CallerAcked(),
    ev.CallerAckMissing(),
    ev.CallerCancelled(),
    ev.CallerHungUp(),
    ev.CalleeRinging(),
    ev.CalleeAnswered(),
    ev.CalleeFailed(486),
    ev.CalleeHungUp(),
    ev.ConversationFinished("transfer", "101"),
    ev.ConversationFinished("agent_hangup"),
    ev.AudioLost("caller"),
    ev.TimerFired("ring"),
    ev.TimerFired("transfer"),
    ev.TimerFired("goodbye"),
    ev.Fault("X"),
    ev.ShuttingDown(),
]
ONCE = ("AnswerCaller", "RejectCaller", "HangUpCaller", "StartCapture", "NoteAnswered", "NoteEnded")


@settings(max_examples=500)
@given(st.sampled_from(EVENTS[:2]), st.lists(st.sampled_from(EVENTS[2:]), max_size=12))
def test_in_any_order_the_rules_hold(first: ev.Input, events: list[ev.Input]) -> None:
    machine = CallMachine()
    done = list(itertools.chain.from_iterable(kinds(machine.handle(event)) for event in (first, *events)))
    for name in ONCE:
        assert done.count(name) <= 1, name
    assert not ("AnswerCaller" in done and "RejectCaller" in done)
    assert "HangUpCaller" not in done or "AnswerCaller" in done
    assert ("NoteEnded" in done) == (machine.phase is Phase.ENDED)
    if "NoteEnded" in done:
        assert "StartConversation" not in done[done.index("NoteEnded") :]
