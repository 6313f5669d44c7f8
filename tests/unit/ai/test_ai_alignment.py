"""What the caller was told is cut by the provider's own alignment where there is one."""

from __future__ import annotations

import json

from timeline import Call, Llm, Stt, spec

from sivo.ai.context import cut
from sivo.ai.engine import State, effects, events
from sivo.speech.alignment import Alignment

TEXT = "A a a extraordinarily long"


def test_a_cut_follows_the_ends_of_words_and_goes_on_in_proportion_behind_them() -> None:
    assert cut("one two three", 1300, 500, ends=[100.0, 900.0, 1300.0]).text == "one"
    assert cut("one two three", 1300, 900, ends=[100.0, 900.0, 1300.0]).text == "one two"
    assert cut("one two three", 1300, 500, ends=[100.0, 900.0, 1300.0]).resume_ms == 100
    assert cut("one two three", 1300, 750, ends=[100.0]).text == "one two", "the rest by its characters"
    assert cut("one two three", 1300, 500).text == "one"


def test_an_interrupted_answer_is_what_was_heard_by_the_clock_of_the_voice() -> None:
    """The words are spoken much later than their share of the characters says."""
    call = Call(
        spec(),
        stt=Stt(["tell me", "stop"], interims=[[], [(200, "stop that")]]),
        llm=Llm([json.dumps({"response": f"{TEXT}."})]),
    )
    call.run_to(State.LISTENING)
    call.says(call.now + 100, 800)
    call.run_to(State.SPEAKING)
    speak = [effect for _, effect in call.effects if isinstance(effect, effects.Speak)][-1]
    signs, ends = list(f"{TEXT}."), []
    for place in range(len(signs)):
        ends.append(1_500.0 + place if place > 0 else 100.0)
    call.happen(events.Aligned(speak.epoch, speak.utterance, Alignment("".join(signs), tuple(ends))))
    begun = call.now
    call.says(begun + 600, 1_000)
    call.run(begun + 2_500)
    assert [one.text_played for one in call.interruptions] == ["A"], call.interruptions
