"""Conversations as timelines: what the caller does, what the engine makes of it. Times are exact."""

from __future__ import annotations

import json

import pytest
from timeline import Call, Llm, Stt, spec

from sivo.ai.engine import State, effects, events


def greeted(call: Call) -> float:
    """Past greeting and cooldown; returns the time."""
    call.run_to(State.LISTENING)
    return call.now


def answer(text: str, action: str = "continue", **variables: str) -> str:
    return json.dumps({"response": text, "action": action, "variables": variables})


def test_greeting_then_a_turn_with_its_latency_split() -> None:
    call = Call(spec(), stt=Stt(["Where is my order?"]), llm=Llm([answer("It is on its way. It comes today.")]))
    start = greeted(call)
    assert call.said == ["Hello, how can I help?"]
    call.says(start + 500, 1000)
    call.run(start + 8000)
    (turn,) = call.turns
    assert turn.user_text == "Where is my order?"
    assert turn.reply_text == "It is on its way. It comes today."
    assert not turn.interrupted
    steps = [
        turn.latency[name]
        for name in ("endpointing", "stt", "committed", "llm_first_token", "tts_first_byte", "first_frame")
    ]
    assert steps == sorted(steps)
    assert turn.latency["endpointing"] <= 240
    assert turn.latency["first_frame"] <= 240 + 160 + 240 + 140 + 60
    assert call.heard == ["Where is my order?"]
    assert call.said[1:] == ["It is on its way.", "It comes today."]


@pytest.mark.parametrize(
    ("name", "length", "text", "turns"),
    [
        ("si, 224 ms, is a turn", 224, "sí", 1),
        ("no, 256 ms, is a turn", 256, "no", 1),
        ("a cough of 250 ms without text is nothing", 250, "", 0),
        ("a click is nothing, nor is it sent anywhere", 40, "never asked", 0),
        ("450 ms without text is not understood", 450, "", 1),
    ],
)
def test_short_sounds_while_the_agent_is_silent(name: str, length: float, text: str, turns: int) -> None:
    call = Call(spec(), stt=Stt([text]))
    start = greeted(call)
    call.says(start + 500, length)
    call.run(start + 7000)
    assert len(call.turns) == turns, name
    assert call.engine.state is State.LISTENING
    if turns and not text:
        assert call.turns[0].user_text == ""
        assert call.turns[0].reply_text.startswith("Sorry, I did not catch that")


def test_mhmm_over_the_agent_pauses_and_resumes_from_the_cut_word() -> None:
    reply = "Your parcel left the warehouse this morning and it should be with you tomorrow"
    call = Call(spec(), stt=Stt(["Where is it?", "mhmm"]), llm=Llm([answer(reply)]))
    start = greeted(call)
    call.says(start + 500, 800)
    call.run_to(State.SPEAKING)
    began = call.now
    call.says(began + 1000, 480)
    call.run(began + 1600)
    assert call.playout.paused
    paused_at = next(at for at, effect in call.effects if isinstance(effect, effects.Pause))
    assert 400 <= paused_at - (began + 1000) <= 400 + 64
    call.run(began + 9000)
    (interruption,) = call.interruptions
    assert interruption.outcome == "resumed"
    resumed_at, resume = next((at, e) for at, e in call.effects if isinstance(e, effects.Resume))
    assert 1000 <= resumed_at - (began + 1480) <= 1040
    # From the beginning of a word, at most one word back.
    assert 0 <= interruption.played_ms - resume.from_ms <= 10 * 60
    (turn,) = call.turns
    assert turn.reply_text == reply
    assert not turn.interrupted
    assert "mhmm" in call.heard


def test_stop_over_the_agent_stops_when_its_text_arrives() -> None:
    reply = "Your parcel left the warehouse this morning and it should be with you tomorrow"
    stt = Stt(["Where is it?", "Stop."], interims=[[], [(300, "stop")]])
    call = Call(spec(), stt=stt, llm=Llm([answer(reply), answer("Sure.")]))
    start = greeted(call)
    call.says(start + 500, 800)
    call.run_to(State.SPEAKING)
    began = call.now
    call.says(began + 1000, 352)
    call.run(began + 1360)
    (interruption,) = call.interruptions
    assert interruption.outcome == "committed"
    assert interruption.voiced_ms < 400
    assert call.frames[-1][0] <= began + 1000 + 32 + 300 + 20
    call.run(began + 6000)
    first, second = call.turns
    assert first.interrupted
    assert second.user_text == "Stop."
    assert reply.startswith(first.reply_text)
    assert 0 < len(first.reply_text) < len(reply)


def test_stop_with_a_segment_engine_stops_at_its_final_text() -> None:
    reply = "Your parcel left the warehouse this morning and it should be with you tomorrow"
    call = Call(spec(), stt=Stt(["Where is it?", "Stop."]), llm=Llm([answer(reply), answer("Sure.")]))
    start = greeted(call)
    call.says(start + 500, 800)
    call.run_to(State.SPEAKING)
    began = call.now
    call.says(began + 1000, 352)
    call.run(began + 6000)
    assert [item.outcome for item in call.interruptions] == ["committed"]
    assert [turn.user_text for turn in call.turns] == ["Where is it?", "Stop."]


def test_a_long_interruption_commits_at_twice_speech_min_and_truncates_to_what_was_played() -> None:
    reply = "Your parcel left the warehouse this morning and it should be with you tomorrow"
    call = Call(spec(), stt=Stt(["Where is it?", "no wait"]), llm=Llm([answer(reply), answer("Yes?")]))
    start = greeted(call)
    call.says(start + 500, 800)
    call.run_to(State.SPEAKING)
    began = call.now
    call.says(began + 1000, 1500)
    call.run(began + 1900)
    (interruption,) = call.interruptions
    assert interruption.outcome == "committed"
    assert 800 <= interruption.voiced_ms <= 832
    paused_at = next(at for at, effect in call.effects if isinstance(effect, effects.Pause))
    assert call.frames[-1][0] <= paused_at
    heard = interruption.text_played
    assert reply.startswith(heard)
    assert reply[len(heard)] == " ", "whole words only"
    assert abs(len(heard) * 60 - interruption.played_ms) <= 12 * 60
    call.run(began + 7000)
    assistant = [json.loads(m["content"]) for m in call.messages if m["role"] == "assistant"]
    assert assistant[-1]["response"] == heard
    assert assistant[-1]["action"] == "continue"
    assert call.said.count(heard) == 1


def test_audio_of_a_dead_epoch_is_never_played() -> None:
    call = Call(spec(), stt=Stt(["Where is it?", "no wait"]), llm=Llm([answer("Long answer. " * 5), answer("Yes?")]))
    start = greeted(call)
    call.says(start + 500, 800)
    call.run_to(State.SPEAKING)
    began, dead = call.now, call.frames[-1][1]
    call.says(began + 400, 1500)
    call.run(began + 1300)
    assert call.interruptions
    stopped = call.now
    call.happen(events.Token(dead, '{"response": "Late words."'))
    call.happen(events.TokensDone(dead))
    call.happen(events.Audio(dead, 99, 400))
    call.run_to(State.THINKING)
    call.happen(events.Token(dead, '{"response": "Late words. And more."'))
    call.happen(events.TokensDone(dead))
    call.happen(events.AudioFailed(dead, 99, "cut"))
    call.run(began + 8000)
    assert [turn.reply_text for turn in call.turns][1:] == ["Yes?"]
    assert call.faults == []
    assert all(epoch != dead for at, epoch, _ in call.frames if at > stopped)
    assert "Late words." not in " ".join(call.said)


def test_two_turns_and_no_more_second_reply_whole_closing_then_the_end() -> None:
    second = "This second answer is quite long and nobody can interrupt it any more."
    call = Call(
        spec(max_turns=2, closing="That was all."),
        stt=Stt(["One?", "Two?", "Three?"]),
        llm=Llm([answer("First."), answer(second)]),
    )
    start = greeted(call)
    call.says(start + 300, 600)
    call.run_to(State.SPEAKING).run_to(State.LISTENING)
    call.says(call.now + 300, 600)
    call.run_to(State.SPEAKING)
    call.says(call.now + 500, 1500)
    call.run(call.now + 20_000)
    assert [turn.user_text for turn in call.turns] == ["One?", "Two?"]
    assert call.turns[1].reply_text == second
    assert not call.turns[1].interrupted
    assert call.said[-1] == "That was all."
    assert (call.ended.reason, call.ended.turns) == ("max_turns", 2)
    last_frame = call.frames[-1][0]
    assert call.now - last_frame >= 200, "the goodbye is not cut by the end"


@pytest.mark.parametrize("cooldown", [0, 1000])
@pytest.mark.parametrize(("text", "length"), [("", 450), ("yes", 350)])
def test_cooldown_defers_a_noise_but_never_a_fast_yes(cooldown: int, text: str, length: float) -> None:
    call = Call(
        spec(barge_in_cooldown_ms=cooldown, speech_min_ms=400),
        stt=Stt(["Is it sent?", text]),
        llm=Llm([answer("It is. Do you want the number?"), answer("Here it is.")]),
    )
    start = greeted(call)
    call.says(start + 500, 800)
    call.run_to(State.SPEAKING).run_while(State.SPEAKING)
    end = call.frames[-1][0]
    call.says(end + 100, length)
    call.run(end + 9000)
    extra = call.turns[1:]
    assert len(extra) == (1 if text or cooldown == 0 else 0)
    if text:
        assert extra[0].user_text == "yes"


def test_a_voice_that_outlasts_the_cooldown_opens_with_its_true_start() -> None:
    call = Call(spec(barge_in_cooldown_ms=300), stt=Stt(["a long sentence from early on"]))
    call.run_while(State.GREETING)
    end = call.now
    call.says(end + 100, 1200)
    call.run(end + 6000)
    (turn,) = call.turns
    assert end + 68 <= turn.user_start_ms <= end + 132


def test_an_echo_of_the_agents_last_words_in_the_cooldown_is_no_turn() -> None:
    call = Call(spec(barge_in_cooldown_ms=1000), stt=Stt(["how can I help"]))
    call.run_while(State.GREETING)
    call.says(call.now + 60, 500)
    call.run(call.now + 5000)
    assert call.turns == []


def test_words_without_voice_open_a_turn() -> None:
    call = Call(spec())
    greeted(call)
    call.happen(events.Heard(None, "sí"))
    call.run(call.now + 5000)
    assert [turn.user_text for turn in call.turns] == ["sí"]


def test_going_on_before_the_answer_was_heard_is_one_turn() -> None:
    call = Call(
        spec(),
        stt=Stt(["I want to cancel.", "The last one, please."]),
        llm=Llm([answer("No."), answer("Done.")], delay=1500),
    )
    start = greeted(call)
    call.says(start + 500, 800)
    call.says(start + 500 + 800 + 700, 900)
    call.run(start + 9000)
    (turn,) = call.turns
    assert turn.user_text == "I want to cancel. The last one, please."
    assert turn.reply_text == "Done."
    users = [m["content"] for m in call.messages if m["role"] == "user"]
    assert users == ["I want to cancel. The last one, please."]
    assert call.interruptions == []


def test_a_noise_that_cut_the_agent_lets_it_say_the_rest_again() -> None:
    reply = "Your parcel left this morning. It comes tomorrow."
    call = Call(spec(), stt=Stt(["Where is it?", ""]), llm=Llm([answer(reply)]))
    start = greeted(call)
    call.says(start + 500, 800)
    call.run_to(State.SPEAKING)
    call.says(call.now + 300, 1000)
    call.run(call.now + 12_000)
    assert [item.outcome for item in call.interruptions] == ["committed"]
    assert call.said[-2:] == ["Your parcel left this morning.", "It comes tomorrow."]
    assert len(call.turns) == 1


def test_an_unfinished_sentence_is_waited_for() -> None:
    call = Call(spec(), stt=Stt(["I would like to check my", "order."]))
    start = greeted(call)
    call.says(start + 500, 800)
    call.says(start + 500 + 800 + 600, 500)
    call.run(start + 7000)
    assert [turn.user_text for turn in call.turns] == ["I would like to check my order."]


def test_silence_is_asked_about_and_then_ends_the_call() -> None:
    call = Call(spec(silence_timeout_ms=3000, max_reprompts=2, reprompt="Hello?", closing="Bye."))
    call.run(60_000)
    assert call.said[1:] == ["Hello?", "Hello?", "Bye."]
    assert call.ended.reason == "silence"
    assert call.ended.turns == 0


def test_hangup_and_transfer_come_after_the_words() -> None:
    for action, transfer_to, reason in (("hangup", "", "agent_hangup"), ("transfer", "200", "transfer")):
        call = Call(
            spec(transfer_to=transfer_to), stt=Stt(["Bye."]), llm=Llm([answer("Good day then.", action, order="7")])
        )
        start = greeted(call)
        call.says(start + 300, 600)
        call.run(start + 9000)
        assert call.said[-1] == "Good day then."
        assert (call.ended.reason, call.ended.transfer_to) == (reason, transfer_to)
        assert call.ended.variables == {"order": "7"}


def test_transfer_without_a_target_goes_on() -> None:
    call = Call(spec(), stt=Stt(["A person!"]), llm=Llm([answer("I put you through.", "transfer")]))
    start = greeted(call)
    call.says(start + 300, 600)
    call.run(start + 6000)
    assert call.engine.state is State.LISTENING


@pytest.mark.parametrize("speaking", [True, False])
def test_max_duration_finishes_the_sentence_and_closes(speaking: bool) -> None:
    long = "This is the first sentence of it. This is the second one. And here comes a third one."
    call = Call(
        spec(max_duration_sec=10, closing="Time is up."), stt=Stt(["Go on."]), llm=Llm([answer(long)]), tts=None
    )
    greeted(call)
    if speaking:
        call.says(7000, 600)
    call.run(30_000)
    assert call.said[-1] == "Time is up."
    assert call.ended.reason == "max_duration"
    if speaking:
        assert call.said[1:-1] == ["This is the first sentence of it."]
        assert call.turns[0].interrupted
    else:
        assert call.first_frame_after(10_000) <= 10_040


def test_keys_are_a_turn_and_interrupt_at_once() -> None:
    call = Call(spec(), llm=Llm([answer("Order one two.")]))
    call.run(600)
    call.happen(events.Key("1"))
    assert call.playout.queued_ms == 0
    call.run(900)
    call.happen(events.Key("2"))
    call.happen(events.Key("#"))
    call.run(5000)
    (turn,) = call.turns
    assert turn.user_text == "1 2"


def test_an_uninterruptible_greeting_goes_through() -> None:
    call = Call(spec(greeting_interruptible=False), stt=Stt(["hello?"]))
    call.says(300, 900)
    call.run_to(State.LISTENING)
    assert call.said == ["Hello, how can I help?"]
    assert call.interruptions == []
    call.run(4000)
    assert call.turns == []


def test_stop_from_outside_states_what_was_heard() -> None:
    reply = "Your parcel left the warehouse this morning and it should be with you tomorrow"
    call = Call(spec(), stt=Stt(["Where is it?"]), llm=Llm([answer(reply)]))
    start = greeted(call)
    call.says(start + 500, 800)
    call.run_to(State.SPEAKING)
    call.run(call.now + 1500)
    call.happen(events.Stop("caller_hangup"))
    (turn,) = call.turns
    assert turn.interrupted
    assert reply.startswith(turn.reply_text)
    assert call.ended.reason == "caller_hangup"
    call.happen(events.Stop("shutdown"))
    assert call.ended.reason == "caller_hangup"
    with pytest.raises(ValueError, match="bored"):
        Call(spec()).happen(events.Stop("bored"))


def test_the_agents_own_echo_does_not_pause_it() -> None:
    call = Call(spec(greeting="A long greeting that goes on and on for quite a while, as greetings do."))
    call.run(1000)
    for _ in range(40):
        call.run(call.now + 20)
        call.happen(events.Voice(call.now, True, 32, echo=True))
    assert not call.playout.paused
    for _ in range(14):
        call.run(call.now + 20)
        call.happen(events.Voice(call.now, True, 32))
    assert call.playout.paused
