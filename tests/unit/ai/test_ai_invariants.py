"""Whatever callers and providers do: no exception, no conversation that hangs, no word that nobody said or heard."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from timeline import Call, Llm, Stt, Tts, spec

from sivo.ai.engine import State, effects, events
from sivo.media.protocol import EXIT_REASONS, ConversationEnded, Segment, Turn

REPLIES = (
    json.dumps({"response": "Yes, of course. It comes tomorrow. Is there anything else?", "action": "continue"}),
    json.dumps({"response": "Goodbye then.", "action": "hangup"}),
    json.dumps({"action": "transfer", "response": "One moment, I put you through."}),
    json.dumps({"action": "transfer"}),
    "Plain words without any contract. Two sentences of them.",
    '{"response": "never finished',
    "{broken",
    "",
)
TEXTS = ("", "yes", "where is my order", "mhmm", "stop it now", "how can I help", "I want my")
FAULTS = ("", "", "", "refused", "cut", "slow", "rejected", "garbage", "guard")
OWN_WORDS = "Hello, how can I help?"

voices = st.lists(st.tuples(st.integers(0, 20_000), st.integers(30, 4000)), max_size=8)
delays = st.sampled_from([20.0, 150.0, 900.0, 2500.0, None])
scripts = st.fixed_dictionaries(
    {
        "voice": voices,
        "keys": st.lists(st.tuples(st.integers(0, 20_000), st.sampled_from("0189*#")), max_size=4),
        "texts": st.lists(st.sampled_from(TEXTS), max_size=8),
        "interims": st.lists(st.lists(st.tuples(st.integers(40, 900), st.sampled_from(TEXTS)), max_size=2), max_size=4),
        "replies": st.lists(st.sampled_from(REPLIES), max_size=6),
        "faults": st.tuples(*[st.sampled_from(FAULTS)] * 3),
        "delays": st.tuples(delays, delays, delays),
        "good": st.integers(0, 3),
        "cut": st.sampled_from([None, 15, 40]),
        "stop": st.sampled_from([None, 3000, 9000]),
        "limits": st.fixed_dictionaries(
            {
                "max_turns": st.sampled_from([1, 2, 20]),
                "max_duration_sec": st.sampled_from([10, 60]),
                "barge_in_cooldown_ms": st.sampled_from([0, 300, 2000]),
                "speech_min_ms": st.sampled_from([80, 400, 2000]),
                "greeting_interruptible": st.booleans(),
                "transfer_to": st.sampled_from(["", "200"]),
                "silence_timeout_ms": st.just(3000),
            }
        ),
    }
)


def play(script: dict[str, Any]) -> Call:
    stt, llm, tts = script["faults"]
    call = Call(
        spec(greeting=OWN_WORDS, **script["limits"]),
        stt=Stt(list(script["texts"]), script["delays"][0], stt, [list(item) for item in script["interims"]]),
        llm=Llm(list(script["replies"]), script["delays"][1], llm, cut_after=script["cut"]),
        tts=Tts(script["delays"][2], tts, script["good"]),
    )
    for start, length in script["voice"]:
        call.says(start, length)
    for when, key in script["keys"]:
        call.at(when, lambda key=key: call.happen(events.Key(key)))
    if script["stop"] is not None:
        call.at(script["stop"], lambda: call.happen(events.Stop("caller_hangup")))
    return call.run(240_000)


#: Shrinking a conversation takes minutes; the script that failed is short enough to be read.
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(scripts)
def test_conversations_end_once_and_tell_the_truth(script: dict[str, Any]) -> None:
    call = play(script)
    assert call.engine.state is State.ENDED, "a conversation hangs"
    (ended,) = call.of(ConversationEnded)
    assert ended.reason in EXIT_REASONS
    assert call.facts[-1][1] is ended
    turns = call.of(Turn)
    assert [turn.turn for turn in turns] == sorted({turn.turn for turn in turns}), "a turn is stated once"
    assert ended.turns <= script["limits"]["max_turns"]
    for turn in turns:
        assert list(turn.latency.values()) == sorted(turn.latency.values())
    _agent_words_were_played(call)
    _epochs_do_not_mix(call)


def _agent_words_were_played(call: Call) -> None:
    played = {f"a{utterance}" for _, _, utterance in call.frames}
    said = [segment for segment in call.of(Segment) if segment.speaker == "agent"]
    assert len({segment.segment for segment in said}) == len(said), "nothing is stated twice"
    for segment in said:
        assert segment.segment in played
        assert 0 <= segment.start_ms < segment.end_ms <= call.now


def _epochs_do_not_mix(call: Call) -> None:
    cleared: dict[int, float] = {}
    epochs: list[tuple[float, int]] = [(at, epoch) for at, epoch, _ in call.frames]
    for at, effect in call.effects:
        if isinstance(effect, effects.Clear):
            for epoch in {epoch for when, epoch in epochs if when <= at}:
                cleared.setdefault(epoch, at)
    for at, epoch in epochs:
        assert at <= cleared.get(epoch, at), "a frame of a dead epoch was played"
