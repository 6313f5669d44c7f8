"""Every provider fault in every state of a conversation, generated, on the virtual clock.

Whatever fails, and whenever: the caller hears something within 2.5 s of the end of speech, the conversation ends for a
reason from the list, no frame of a dead epoch is played, and every word that speech-to-text gave stands in the
transcript exactly once.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable

import pytest
from timeline import FRAME, Call, Llm, Stt, spec

from sivo.ai.engine import State, effects, events
from sivo.media.protocol import EXIT_REASONS
from sivo.speech import elevenlabs, http
from sivo.speech.alignment import Alignment
from sivo.speech.faults import Cause

BOUND_MS = 2500
LINES = ("where is my first order", "and what about the other one")
ANSWERS = ("It is on its way. It comes tomorrow in the morning.", "That one was sent back. You will get your money.")
STAGES = ("stt", "llm", "tts")
#: What a status means is asked of those who translate it for real.
STATUSES = {f"HTTP {status}": status for status in (401, 403, 429, 500, 503)}
PLAIN: dict[str, Cause] = {"refused": "refused", "garbage": "garbage", "guard": "guard", "time limit": "slow"}
FAULTS = (*PLAIN, *STATUSES, "slow", "half-open", "cut mid-word", "late results of dead epochs")
#: Connecting is over before the first event; the other two are the business of ``call``.
_ELSEWHERE = (State.CONNECTING, State.TRANSFERRING, State.ENDED)
#: Where the conversation is when the fault begins; ``paused``: the caller has just made the agent pause.
WHEN = ("start", *(str(state) for state in State if state not in _ELSEWHERE), "paused")


def cause_of(stage: str, fault: str) -> Cause:
    """The cause that the adapters give a fault."""
    if fault in STATUSES:
        status = STATUSES[fault]
        return elevenlabs.http_fault(status, b"", "m").cause if stage == "tts" else http.status_error(status, "").cause
    return PLAIN[fault]


def break_(call: Call, stage: str, fault: str) -> None:
    """From now on ``stage`` fails in this way."""
    provider = {"stt": call.stt, "llm": call.llm, "tts": call.tts}[stage]
    if fault == "late results of dead epochs":
        call.at(call.now + 100, lambda: haunt(call))
    elif fault == "slow" or (fault == "half-open" and stage != "llm"):
        provider.delay = None
    elif fault == "half-open":
        call.llm.stall_after = 24
    elif fault != "cut mid-word":
        provider.fault = cause_of(stage, fault)
    elif stage == "llm":
        call.llm.cut_after = 24
    elif stage == "tts":
        call.tts.cut_after_ms = 300
        call.tts.good = 0
    else:
        call.stt.fault = "cut"


def haunt(call: Call) -> None:
    """Results of everything that was cancelled keep coming."""
    dead = {effect.epoch for _, effect in call.effects if isinstance(effect, effects.Cancel)}
    for epoch in dead:
        for utterance in range(1, 9):
            call.happen(events.Audio(epoch, utterance, 400))
            call.happen(events.Aligned(epoch, utterance, Alignment("late", (1.0, 2.0, 3.0, 4.0))))
            call.happen(events.AudioDone(epoch, utterance))
            call.happen(events.AudioFailed(epoch, utterance, "cut", "late"))
        call.happen(events.Token(epoch, '{"response": "Too late."}'))
        call.happen(events.TokensDone(epoch))
        call.happen(events.TokensFailed(epoch, "cut", "late"))
    call.at(call.now + 100, lambda: haunt(call))


def reached(when: str) -> Callable[[Call], bool]:
    """Whether a fault begins now."""
    if when == "start":
        return lambda call: True
    if when == "paused":
        return lambda call: call.playout.paused
    return lambda call: str(call.engine.state) == when


def play(stage: str, fault: str, when: str) -> tuple[Call, list[float], bool]:
    """The call, the ends of what the caller said, and whether the fault ever began."""
    call = Call(
        spec(
            apology="Our system is down, sorry.",
            closing="Goodbye.",
            filler="One moment, please.",
            silence_timeout_ms=3000,
            max_turns=2,
        ),
        stt=Stt(list(LINES) if when != "paused" else [LINES[0], "", LINES[1]]),
        llm=Llm([json.dumps({"response": answer}) for answer in ANSWERS]),
    )
    begins, ends, begun, noise = reached(when), [], False, when == "paused"
    while call.engine.state is not State.ENDED and call.now < 180_000:
        if not begun and begins(call):
            begun = True
            break_(call, stage, fault)
        quiet = not ends or call.now > ends[-1] + 300
        if call.engine.state is State.LISTENING and len(ends) < len(LINES) and quiet:
            call.says(call.now + 100, 800)
            ends.append(call.now + 900)
        if noise and call.engine.state is State.SPEAKING and call.now > ends[0] + 1500:
            call.says(call.now + 60, 480)  # the voice of somebody else in the room
            noise = False
        call.run(call.now + FRAME)
    return call, ends, begun


@pytest.mark.parametrize(("stage", "fault", "when"), list(itertools.product(STAGES, FAULTS, WHEN)))
def test_a_fault_never_leaves_the_caller_in_silence(stage: str, fault: str, when: str) -> None:
    call, ends, begun = play(stage, fault, when)
    assert begun, "the scenario does not come there"
    assert call.engine.state is State.ENDED and call.ended.reason in EXIT_REASONS
    assert ends, "the caller never had a say"
    for end in ends:
        heard = next((at for at, _, _ in call.frames if at > end), None)
        over = call.now if heard is None else heard
        assert over - end <= BOUND_MS, f"silence of {over - end} ms after {end}"
    for line in LINES:
        assert call.heard.count(line) <= 1, "said once, stands there twice"
    if stage != "stt" or fault == "late results of dead epochs":
        assert [text for text in call.heard if text] == list(LINES[: len(ends)]), "what was heard is not lost"
    known = {fact.stage for fact in call.faults}
    assert known <= ({stage} if fault != "late results of dead epochs" else set())
    assert "Too late." not in " ".join(call.said)
    _dead_epochs_are_silent(call)


def _dead_epochs_are_silent(call: Call) -> None:
    cleared: dict[int, float] = {}
    for at, effect in call.effects:
        if isinstance(effect, effects.Clear):
            for epoch in {epoch for when, epoch, _ in call.frames if when <= at}:
                cleared.setdefault(epoch, at)
    assert all(at <= cleared.get(epoch, at) for at, epoch, _ in call.frames), "a frame of a dead epoch was played"


@pytest.mark.parametrize(("stage", "fault"), list(itertools.product(STAGES, FAULTS[:-1])))
def test_the_matrix_has_teeth(stage: str, fault: str) -> None:
    """Begun while the caller speaks for the first time, every one of these faults is one: it is told, and it ends the
    call."""
    call, _, _ = play(stage, fault, str(State.USER_SPEAKING))
    assert {fact.stage for fact in call.faults} == {stage}
    assert call.ended.reason == "provider_failure"
