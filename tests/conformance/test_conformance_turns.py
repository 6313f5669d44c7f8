"""Keys that shape the conversation, each on a real call: how many turns, how long, what counts as speech.

Every value is chosen so that the shipped default (20 turns, 600 s, 300 ms, 400 ms) would give another outcome: a third
turn, a call that goes on after 10 s, the same number of turns with both cooldowns, the opposite verdict on both sounds.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from support.ai_desk import CLOSING, GREETING, PITCH, Caller, Desk, clip, open_desk, sound
from support.conformance import conformance
from support.conformance_table import Evidence
from support.provider_double import LLM, STT, Double, Sound
from support.running_node import Node

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def _ask(caller: Caller, answer_hertz: int) -> float:
    """Say something when the agent has finished, and wait for the answer; the end of speech."""
    ended = await caller.say(clip("en_order_slt"))
    await caller.hears(answer_hertz, after=ended)
    return ended


@conformance("ai.max_turns", "conversation ends after so many turns, reason max_turns", "SIP phone")
async def test_after_max_turns_the_agent_says_goodbye_and_hangs_up(
    node: Node, double: Double, evidence: Evidence
) -> None:
    desk = await open_desk(node, double, keys={"ai.max_turns": 2})
    desk.account.heard = ["where is my order", "and when will it come", "one more thing"]
    desk.account.replies = ["It left this morning.", "It comes tomorrow. Between nine and twelve.", "Not to be said."]
    desk.account.sounds |= {
        "It left this morning.": Sound(1300),
        "It comes tomorrow.": Sound(1500, 900),
        "Between nine and twelve.": Sound(1700, 1100),
        "Not to be said.": Sound(1900),
    }
    async with desk.call() as caller:
        await caller.silence_after(PITCH[GREETING])
        await _ask(caller, 1300)
        await caller.silence_after(1300)
        await _ask(caller, 1500)
        # Speaking over the last reply: it is said whole all the same.
        await caller.say(clip("en_cancel_rms"))
        bye = await caller.hung_up()
        heard = caller.heard()
        trace = await desk.trace(caller.number)
    assert 'text="max_turns"' in bye.headers["reason"]
    assert [tone.hertz for tone in heard] == [PITCH[GREETING], 1300, 1500, 1700, PITCH[CLOSING]]
    whole = {tone.hertz: tone.ms for tone in heard}
    assert whole[1500] == pytest.approx(900, abs=60)
    assert whole[1700] == pytest.approx(1100, abs=60)
    assert len(desk.account.asked(LLM)) == 2
    ended = trace["conversations"][0]
    assert (ended["reason"], ended["turns"]) == ("max_turns", 2)
    assert [turn["user_text"] for turn in trace["turns"]] == ["where is my order", "and when will it come"]
    assert trace["turns"][1]["reply_text"] == "It comes tomorrow. Between nine and twelve."
    assert desk.account.offences == []
    evidence("ai.max_turns", f"2 turns, BYE {bye.headers['reason']}")


@conformance("ai.max_duration_sec", "conversation ends at that age, reason max_duration", "SIP phone with a clock")
async def test_a_conversation_ends_at_max_duration(node: Node, double: Double, evidence: Evidence) -> None:
    desk = await open_desk(node, double, keys={"ai.max_duration_sec": 10})
    async with desk.call() as caller:
        closing = await caller.hears(PITCH[CLOSING], timeout=20)
        bye = await caller.hung_up()
        trace = await desk.trace(caller.number)
    assert 'text="max_duration"' in bye.headers["reason"]
    assert 9.5 <= closing.begun - caller.answered <= 13
    ended = trace["conversations"][0]
    assert (ended["reason"], ended["turns"]) == ("max_duration", 0)
    assert 10_000 <= ended["at_ms"] <= 13_000
    evidence(
        "ai.max_duration_sec",
        f"goodbye {closing.begun - caller.answered:.1f} s after the answer, BYE {bye.headers['reason']}",
    )


async def _after_the_agent(desk: Desk, pcm16: bytes, transcript: str) -> list[dict[str, Any]]:
    """The turns of a call on which ``pcm16`` is played 100 ms after the agent's greeting."""
    desk.account.replies = ["As you wish."]
    desk.account.sounds["As you wish."] = Sound(1300)
    for _ in range(4):
        desk.account.ledger.clear()
        desk.account.heard = [transcript]
        async with desk.call() as caller:
            last_frame = await caller.silence_after(PITCH[GREETING], quiet_ms=100)
            late = time.monotonic() - last_frame > 0.25
            if not late:
                await caller.say(pcm16)
                # Until it was asked for and decided: an answer would have begun by now.
                await caller.until(lambda: desk.account.asked(STT), "a transcription")
                await asyncio.sleep(2.5)
        if not late:
            return list((await desk.trace(caller.number))["turns"])
    raise AssertionError("this machine is too busy for a phone to speak 100 ms after it heard something")


@conformance("ai.barge_in_cooldown_ms", "voice within it after the agent is deferred as echo", "SIP phone with RTP")
async def test_a_sound_right_after_the_agent_counts_only_without_cooldown(
    node: Node, double: Double, evidence: Evidence
) -> None:
    desks = [await open_desk(node, double, keys={"ai.barge_in_cooldown_ms": ms}) for ms in (0, 1000, 0, 1000)]
    noise, yes = sound(450), clip("en_yes_rms")
    turns = await asyncio.gather(
        _after_the_agent(desks[0], noise, ""),
        _after_the_agent(desks[1], noise, ""),
        _after_the_agent(desks[2], yes, "yes"),
        _after_the_agent(desks[3], yes, "yes"),
    )
    # Two settings, one sound: a consumer that read any one value for both could not tell them apart.
    assert [len(one) for one in turns] == [1, 0, 1, 1]
    assert [turn["user_text"] for one in turns for turn in one] == ["", "yes", "yes"]
    evidence(
        "ai.barge_in_cooldown_ms",
        "noise 100 ms after the agent: a turn at 0 ms, none at 1000 ms; a word counts at both",
    )


LONG = "This is a rather long sentence about nothing in particular."


async def _counts_and_pauses(desk: Desk, pcm16: bytes) -> tuple[int, int, list[dict[str, Any]]]:
    """Turns that a wordless sound makes, how often it breaks a sentence of the agent, and its interruptions."""
    desk.account.heard = ["", "tell me everything", ""]
    desk.account.replies = [LONG]
    desk.account.sounds[LONG] = Sound(1300, 4000)
    async with desk.call() as caller:
        await caller.silence_after(PITCH[GREETING], quiet_ms=700)
        await caller.say(pcm16)
        await caller.until(lambda: desk.account.asked(STT), "a transcription")
        await asyncio.sleep(2.5)
        await _ask(caller, 1300)
        await asyncio.sleep(0.8)
        await caller.say(pcm16)
        await caller.until(lambda: len(desk.account.asked(STT)) == 3, "the third transcription")
        await caller.silence_after(1300, quiet_ms=1500)
        pieces = caller.pitches().count(1300)
        number = caller.number
    trace = await desk.trace(number)
    wordless = [turn for turn in trace["turns"] if not turn["user_text"]]
    return len(wordless), pieces - 1, trace["interruptions"]


@conformance("ai.speech_min_ms", "voiced time that counts and pauses the agent", "SIP phone with RTP")
async def test_speech_min_decides_what_counts_and_what_pauses_the_agent(
    node: Node, double: Double, evidence: Evidence
) -> None:
    low = await open_desk(node, double, keys={"ai.speech_min_ms": 250})
    high = await open_desk(node, double, keys={"ai.speech_min_ms": 1500})
    # 250 ms would not count by the shipped default of 400 ms, and 600 ms would.
    short, long = await asyncio.gather(_counts_and_pauses(low, sound(250)), _counts_and_pauses(high, sound(600)))
    assert short[:2] == (1, 1)
    assert [one["outcome"] for one in short[2]] == ["resumed"]
    assert long == (0, 0, [])
    evidence("ai.speech_min_ms", "250 ms of voice at 250: a turn and a pause; 600 ms at 1500: neither")
