"""Every provider fault in every state: something is heard within 2.5 s of the end of speech, then transfer or end."""

from __future__ import annotations

import json
from typing import Any

import pytest
from timeline import Call, Llm, Stt, Tts, spec

from sivo.ai.engine import State, events

FILLER = "One moment, please."
APOLOGY = "Our system is down, sorry."
#: Published bound, from the end of the caller's speech to the first frame of agent speech.
BOUND_MS = 2500
CAUSES = ("refused", "cut", "rejected", "garbage", "guard", "slow")


def _spec(transfer_to: str = "", **changes: Any) -> Any:
    return spec(apology=APOLOGY, closing="Goodbye.", filler=FILLER, transfer_to=transfer_to, **changes)


def _one_question(call: Call) -> float:
    """The caller asks something; returns the end of speech."""
    call.run_to(State.LISTENING)
    start = call.now + 480
    call.says(start, 800)
    call.run(start + 820)
    return start + 800


def _in_time(call: Call, end_of_speech: float) -> None:
    first = call.first_frame_after(end_of_speech)
    assert first - end_of_speech <= BOUND_MS, first - end_of_speech


@pytest.mark.parametrize("transfer_to", ["", "200"])
@pytest.mark.parametrize("cause", CAUSES)
def test_stt_fails(cause: str, transfer_to: str) -> None:
    call = Call(_spec(transfer_to), stt=Stt(fault=cause, delay=150))
    end = _one_question(call)
    call.run(60_000)
    _in_time(call, end)
    assert APOLOGY in call.said
    assert call.ended.reason == ("transfer" if transfer_to else "provider_failure")
    assert call.ended.transfer_to == transfer_to
    assert call.ended.detail.startswith(f"stt {cause}")
    assert ("Goodbye." in call.said) is (not transfer_to)
    assert {(fault.stage, fault.cause) for fault in call.faults} == {("stt", cause)}
    assert [fault.action for fault in call.faults] == (["retry"] if cause in ("refused", "cut") else []) + [
        "transfer" if transfer_to else "goodbye"
    ]


def test_stt_never_answers() -> None:
    call = Call(_spec(), stt=Stt(delay=None))
    end = _one_question(call)
    call.run(60_000)
    _in_time(call, end)
    assert call.said[1:] == [FILLER, APOLOGY, "Goodbye."]
    assert [(fault.stage, fault.cause) for fault in call.faults] == [("stt", "slow")]


def test_stt_that_is_late_gets_a_filler_and_then_its_answer() -> None:
    call = Call(_spec(), stt=Stt(["Where is it?"], delay=4000))
    end = _one_question(call)
    call.run(15_000)
    _in_time(call, end)
    assert call.said[1:] == [FILLER, "All right."]
    (turn,) = call.turns
    assert (turn.user_text, turn.reply_text) == ("Where is it?", "All right.")
    assert call.faults == []


@pytest.mark.parametrize("cause", CAUSES)
def test_llm_fails(cause: str) -> None:
    call = Call(_spec(), stt=Stt(["Where is it?"]), llm=Llm(fault=cause, delay=300))
    end = _one_question(call)
    call.run(60_000)
    _in_time(call, end)
    assert call.said[1:] == [APOLOGY, "Goodbye."]
    assert call.ended.reason == "provider_failure"
    assert cause in call.ended.detail
    (turn,) = call.turns
    assert (turn.user_text, turn.reply_text) == ("Where is it?", "")


def test_llm_never_answers() -> None:
    call = Call(_spec(), stt=Stt(["Where is it?"]), llm=Llm(delay=None))
    end = _one_question(call)
    call.run(60_000)
    _in_time(call, end)
    assert call.said[1:] == [FILLER, APOLOGY, "Goodbye."]
    assert [(fault.stage, fault.cause) for fault in call.faults] == [("llm", "slow")]


def test_llm_that_is_late_gets_a_filler_once() -> None:
    call = Call(_spec(), stt=Stt(["Where is it?"]), llm=Llm(delay=3500))
    end = _one_question(call)
    call.run(15_000)
    _in_time(call, end)
    assert call.said[1:] == [FILLER, "All right."]
    assert call.turns[0].reply_text == "All right."


def test_llm_refused_once_is_asked_again() -> None:
    call = Call(_spec(), stt=Stt(["Where is it?"]), llm=Llm(fault="refused", delay=100))
    _one_question(call)
    call.run_to(State.THINKING)
    call.llm.fault = ""
    call.run(call.now + 6000)
    assert [fault.action for fault in call.faults] == ["retry"]
    assert call.turns[0].reply_text == "All right."


@pytest.mark.parametrize("how", ["cut", "stall"])
def test_llm_stops_in_the_middle_of_the_answer(how: str) -> None:
    raw = json.dumps({"response": "This is the first sentence. And the second is never finished", "action": "continue"})
    llm = Llm([raw], cut_after=60) if how == "cut" else Llm([raw], stall_after=60)
    call = Call(_spec(), stt=Stt(["Where is it?"]), llm=llm)
    end = _one_question(call)
    call.run(60_000)
    _in_time(call, end)
    assert call.said[1] == "This is the first sentence."
    assert call.said[-2:] == [APOLOGY, "Goodbye."]
    gaps = [after[0] - before[0] for before, after in zip(call.frames, call.frames[1:], strict=False)]
    spoken = [gap for gap, frame in zip(gaps, call.frames, strict=False) if frame[0] > end]
    # Two fillers in one reply would be worse than a pause: a stalled model is bounded by its own limit of 5 s.
    assert max(spoken) <= 5020
    assert "never finished" not in " ".join(call.said)


@pytest.mark.parametrize("raw", ['{"response": 7}', '{"answer": "hm"}', "{not json", '["a"]', "", '{"response": ""}'])
def test_broken_contract_is_never_spoken(raw: str) -> None:
    call = Call(_spec(), stt=Stt(["Where is it?"]), llm=Llm([raw]))
    end = _one_question(call)
    call.run(60_000)
    _in_time(call, end)
    assert call.said[1:] == [APOLOGY, "Goodbye."]
    assert [(fault.stage, fault.cause) for fault in call.faults] == [("llm", "garbage")]


@pytest.mark.parametrize("cause", CAUSES)
def test_tts_fails_after_the_greeting(cause: str) -> None:
    call = Call(_spec(), stt=Stt(["Where is it?"]), tts=Tts(fault=cause, good=1))
    end = _one_question(call)
    call.run(60_000)
    _in_time(call, end)
    assert call.said[1:] == [APOLOGY, "Goodbye."], "from what was made ahead"
    assert call.ended.reason == "provider_failure"


@pytest.mark.parametrize("cause", CAUSES)
def test_tts_is_dead_from_the_start(cause: str) -> None:
    call = Call(_spec("200"), tts=Tts(fault=cause))
    call.run(60_000)
    assert call.first_frame_after(0) <= BOUND_MS
    assert call.said == [], "a tone has no words"
    assert (call.ended.reason, call.ended.transfer_to) == ("transfer", "200")


def test_tts_never_answers_from_the_start() -> None:
    call = Call(_spec(), tts=Tts(delay=None))
    call.run(60_000)
    assert call.first_frame_after(0) <= BOUND_MS
    assert call.ended.reason == "provider_failure"


def test_tts_never_answers_after_the_greeting() -> None:
    call = Call(_spec(), stt=Stt(["Where is it?"]))
    end = _one_question(call)
    call.tts.delay = None
    call.run(60_000)
    _in_time(call, end)
    assert call.said[1:] == [FILLER, APOLOGY, "Goodbye."]


def test_tts_is_cut_in_the_middle_of_a_sentence() -> None:
    long = "This sentence is cut somewhere in its middle by the provider"
    call = Call(
        _spec(),
        stt=Stt(["Where is it?"]),
        llm=Llm([json.dumps({"response": long})]),
        tts=Tts(good=1, cut_after_ms=1000),
    )
    end = _one_question(call)
    call.run(60_000)
    _in_time(call, end)
    heard = call.turns[0].reply_text
    assert long.startswith(heard)
    assert 0 < len(heard) < len(long) / 2
    assert call.said[1:] == [heard, APOLOGY, "Goodbye."]


def test_a_fault_of_a_dead_epoch_changes_nothing() -> None:
    call = Call(_spec(), stt=Stt(["Where is it?"]))
    _one_question(call)
    call.run_to(State.SPEAKING).run_to(State.LISTENING)
    call.happen(events.TokensFailed(2, "cut"))
    call.happen(events.AudioFailed(2, 2, "cut"))
    call.happen(events.HeardFailed(1, "cut"))
    call.run(call.now + 1000)
    assert call.faults == []
    assert call.engine.state is State.LISTENING


def test_a_noise_that_stt_cannot_judge_does_not_end_the_call() -> None:
    call = Call(_spec(), stt=Stt(fault="rejected"))
    call.run_to(State.LISTENING)
    call.says(call.now + 500, 128)
    call.run(call.now + 4000)
    assert [fault.action for fault in call.faults] == ["ignored"]
    assert call.engine.state is State.LISTENING


def test_a_failure_while_the_agent_is_paused_is_heard_all_the_same() -> None:
    """Found by the generated conversations: the paused play-out held the apology back for ever."""
    call = Call(_spec(), llm=Llm(delay=None))
    call.run(600)
    call.happen(events.Key("0"))
    call.says(5400, 416)
    call.run(6000)
    assert call.playout.paused
    call.run(60_000)
    assert call.said[-2:] == [APOLOGY, "Goodbye."]
    assert call.ended.reason == "provider_failure"


def test_last_words_that_cannot_get_out_do_not_keep_the_call() -> None:
    call = Call(_spec(silence_timeout_ms=1000, max_reprompts=0))
    call.run_to(State.CLOSING)
    call.playout.pause()  # the caller has put us on hold
    call.run(call.now + 31_000)
    assert call.ended.reason == "silence"
