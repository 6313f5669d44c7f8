"""Keys that go over the wire: what a tenant sets is what its provider is asked for, on calls that start later.

No value that is set here is a shipped default, so a consumer that read the default would be seen at the provider.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from support.ai_desk import GREETING, PITCH, Caller, Desk, clip, open_desk
from support.conformance import conformance
from support.conformance_table import Evidence
from support.provider_double import LLM, STT, TTS, Account, Double, Sound
from support.running_node import Node

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: Key -> (stage, parameter on the wire).
ON_THE_WIRE = {
    "ai.stt_model": (STT, "model"),
    "ai.llm_model": (LLM, "model"),
    "ai.tts_model": (TTS, "model"),
    "ai.tts_voice_id": (TTS, "voice"),
    "transcription.language": (STT, "language"),
    "ai.llm_base_url": (LLM, "base_url"),
}
OLD = {
    "ai.stt_model": "hears-1",
    "ai.llm_model": "thinks-1",
    "ai.tts_model": "speaks-1",
    "ai.tts_voice_id": "carmen",
    "transcription.language": "it",
}
NEW = {
    "ai.stt_model": "hears-2",
    "ai.llm_model": "thinks-2",
    "ai.tts_model": "speaks-2",
    "ai.tts_voice_id": "jorge",
    "transcription.language": "pt",
}
ANSWERS = ("First answer here.", "Second answer here.", "Third answer here.")


def on_the_wire(account: Account) -> dict[str, set[Any]]:
    """Every value of every such key that the providers have seen."""
    return {key: account.values(stage, name) for key, (stage, name) in ON_THE_WIRE.items()}


def _script(desk: Desk) -> None:
    desk.account.heard = ["tell me more"] * 3
    desk.account.replies = list(ANSWERS)
    desk.account.sounds |= {text: Sound(1300 + 200 * place) for place, text in enumerate(ANSWERS)}


async def _turn(caller: Caller, hertz: int) -> None:
    ended = await caller.say(clip("en_order_slt"))
    await caller.hears(hertz, after=ended)
    await caller.silence_after(hertz)


@conformance("ai.stt_model", "model parameter of speech-to-text", "OpenAI-compatible server")
@conformance("ai.llm_model", "model parameter of the language model", "OpenAI-compatible server")
@conformance("ai.tts_model", "model parameter of the voice", "OpenAI-compatible server")
@conformance("ai.tts_voice_id", "voice on the wire", "OpenAI-compatible server")
@conformance("transcription.language", "language parameter on the wire", "OpenAI-compatible server")
@conformance("ai.llm_base_url", "endpoint that is asked", "OpenAI-compatible server")
async def test_what_is_set_is_what_the_provider_sees_and_a_running_call_keeps_it(
    node: Node, double: Double, evidence: Evidence
) -> None:
    old, new = OLD | {"ai.llm_base_url": double.url}, NEW | {"ai.llm_base_url": double.other_url}
    desk = await open_desk(node, double, keys=old | {"ai.max_turns": 3})
    shown = (await desk.api("GET", "/api/config/schema"))["keys"]
    defaults = {key["key"]: key["default"] for key in shown if key["key"] in ON_THE_WIRE}
    assert all(defaults[key] not in (old[key], new[key]) for key in ON_THE_WIRE), "a default would prove nothing"
    _script(desk)
    async with desk.call() as first:
        await first.silence_after(PITCH[GREETING])
        await _turn(first, 1300)
        assert on_the_wire(desk.account) == {key: {value} for key, value in old.items()}
        await desk.change(new | {"ai.max_turns": 1})
        desk.account.ledger.clear()
        await _turn(first, 1500)
        seen = on_the_wire(desk.account)
        assert seen == {key: {value} for key, value in old.items()}, "the running call took new values"
        assert first.bye is None, "the running call took the new ai.max_turns"
    before = await desk.trace(first.number)
    desk.account.ledger.clear()
    desk.account.replies = ["Third answer here."]
    async with desk.call() as second:
        await second.silence_after(PITCH[GREETING])
        await _turn(second, 1700)
        bye = await second.hung_up()
    assert on_the_wire(desk.account) == {key: {value} for key, value in new.items()}
    assert 'text="max_turns"' in bye.headers["reason"]
    after = await desk.trace(second.number)
    for trace, values in ((before, old), (after, new)):
        reads = {read["key"]: (read["value"], read["level"]) for read in trace["configuration"]}
        assert {key: reads[key] for key in ON_THE_WIRE} == {key: (value, "tenant") for key, value in values.items()}
    transcript = await desk.api("GET", f"/api/calls/{after['call']['id']}/transcript")
    assert {segment["speaker"] for segment in transcript} == {"caller", "agent"}
    assert {segment["language"] for segment in transcript} == {"pt"}
    assert desk.account.offences == []
    for key in ON_THE_WIRE:
        evidence(key, f"{old[key]} on the running call, {new[key]} on the next")


async def _first_turn(desk: Desk) -> Account:
    """Call and say one thing."""
    _script(desk)
    async with desk.call() as caller:
        await caller.silence_after(PITCH[GREETING])
        await _turn(caller, 1300)
    assert desk.account.offences == []
    return desk.account


@conformance("tenant.default_locale", "language that is spoken and heard", "OpenAI-compatible server")
async def test_language_of_did_agent_and_tenant(node: Node, double: Double, evidence: Evidence) -> None:
    set_ = {"transcription.language": "it", "tenant.default_locale": "de"}
    by_key = await open_desk(node, double, keys=set_)
    by_did = await open_desk(node, double, keys=set_, did={"transcription_language": "pt"})
    by_agent = await open_desk(node, double, agent={"language": "fr"})
    by_locale = await open_desk(node, double, keys={"tenant.default_locale": "de"})
    accounts = await asyncio.gather(*(_first_turn(desk) for desk in (by_key, by_did, by_agent, by_locale)))
    # None of these is es, the shipped default.
    assert [account.values(STT, "language") for account in accounts] == [{"it"}, {"pt"}, {"fr"}, {"de"}]
    # The spoken language, by which the model is told to answer: the agent's, else the DID's, else the locale.
    told = [account.asked(LLM)[0].fields["messages"][0]["content"] for account in accounts]
    spoken = ["German", "Portuguese", "French", "German"]
    assert all(f"Always speak {language}." in text for language, text in zip(spoken, told, strict=True))
    evidence("tenant.default_locale", f"de: told {spoken[3]}, heard by language={accounts[3].values(STT, 'language')}")


async def test_the_voice_follows_the_spoken_language_until_one_is_chosen(node: Node, double: Double) -> None:
    plain = await open_desk(node, double)
    agent = await open_desk(node, double, keys={"ai.tts_voice_id": "carmen"}, agent={"voice": "the-agents-own"})
    accounts = await asyncio.gather(_first_turn(plain), _first_turn(agent))
    assert [account.values(TTS, "voice") for account in accounts] == [{"alloy"}, {"the-agents-own"}]


async def test_local_is_served_on_this_machine_and_nothing_of_it_leaves(node: Node, double: Double) -> None:
    local = {"ai.stt_provider": "local", "ai.tts_provider": "local", "transcription.language": "en"}
    intent = {"name": "confirm", "phrases": ["yes", "yes please"], "reply": "Very well."}
    desk = await open_desk(node, double, keys=local, agent={"intents": [intent], "language": "en"})
    desk.account.replies = ["Very well."]
    async with desk.call() as caller:
        await caller.until(lambda: caller.heard(), "the greeting")
        await asyncio.sleep(2.5)
        await caller.say(clip("en_yes_rms"))
        await caller.until(lambda: desk.account.asked(LLM), "a question to the model")
        await asyncio.sleep(1.0)
    (asked,) = desk.account.asked(LLM)
    assert asked.fields["messages"][-1] == {"role": "user", "content": "yes"}
    assert desk.account.asked(STT) == desk.account.asked(TTS) == []
    assert desk.account.offences == []
