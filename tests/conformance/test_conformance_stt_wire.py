"""Speech-to-text of AI calls on the wire: protocol, model and language are what the tenant set, seen by the vendor.

The observer is the simulator that the vendors' own SDKs agree with. No value is a shipped default.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sivo.simulators.script import Account, Script, SttScript
from support.ai_desk import GREETING, PITCH, Desk, Places, clip, open_desk
from support.conformance import conformance
from support.conformance_table import Evidence
from support.provider_double import Double, Sound
from support.running_node import Node
from support.vendor_world import Vendors

pytestmark = pytest.mark.asyncio(loop_scope="session")

ANSWERS = ("First answer here.", "Second answer here.")
DEEPGRAM = {"ai.stt_provider": "deepgram", "ai.stt_model": "nova-2-phonecall", "transcription.language": "it"}
SCRIBE = {"ai.stt_provider": "elevenlabs", "ai.stt_model": "scribe_v3_live", "transcription.language": "pt"}


async def _desk(node: Node, double: Double, vendors: Vendors, **more: Any) -> tuple[Desk, Account]:
    desk = await open_desk(node, double, places=Places(stt=vendors.url), **more)
    script = Script(stt=SttScript(utterances=["where is my order", "and the second one"]))
    desk.account.replies = list(ANSWERS)
    desk.account.sounds |= {text: Sound(1300 + 200 * place) for place, text in enumerate(ANSWERS)}
    return desk, vendors.world.make(desk.account.key, script)


def _opened(account: Account, protocol: str, *names: str) -> list[tuple[str, ...]]:
    return [tuple(entry.data["query"][name] for name in names) for entry in account.entries(protocol, "open")]


async def _words(desk: Desk, call_id: str) -> list[tuple[str, str, str]]:
    transcript = await desk.api("GET", f"/api/calls/{call_id}/transcript")
    return [(one["speaker"], one["text"], one["language"]) for one in transcript if one["speaker"] == "caller"]


@conformance("ai.stt_provider", "wire protocol of speech-to-text", "simulators proven by the vendors' SDKs")
async def test_protocol_model_and_language_are_what_is_set(
    node: Node, double: Double, vendors: Vendors, evidence: Evidence
) -> None:
    desk, account = await _desk(node, double, vendors, keys=DEEPGRAM)
    async with desk.call() as first:
        await first.silence_after(PITCH[GREETING])
        ended = await first.say(clip("en_order_slt"))
        await first.hears(1300, after=ended)
        await first.silence_after(1300)
        await desk.change(SCRIBE)
        ended = await first.say(clip("en_yes_rms"))
        await first.hears(1500, after=ended)
        assert list(account.entries("scribe", "open")) == [], "the running call took the new engine"
    trace = await desk.trace(first.number)
    assert _opened(account, "deepgram", "model", "language", "encoding") == [("nova-2-phonecall", "it", "mulaw")]
    assert await _words(desk, trace["call"]["id"]) == [
        ("caller", "where is my order", "it"),
        ("caller", "and the second one", "it"),
    ]
    assert (trace["call"]["transcription_started"], trace["call"]["transcription_errors"]) == (True, 0)
    desk.account.replies = [ANSWERS[0]]
    async with desk.call() as second:
        await second.silence_after(PITCH[GREETING])
        ended = await second.say(clip("en_order_slt"))
        await second.hears(1300, after=ended)
    trace = await desk.trace(second.number)
    assert _opened(account, "scribe", "model_id", "language_code") == [("scribe_v3_live", "pt")]
    assert len(list(account.entries("deepgram", "open"))) == 1
    assert await _words(desk, trace["call"]["id"]) == [("caller", "where is my order", "pt")]
    assert account.offences == []
    assert desk.account.offences == []
    evidence(
        "ai.stt_provider", "deepgram: listen?model=nova-2-phonecall; elevenlabs: realtime, model_id=scribe_v3_live"
    )


async def test_a_did_s_own_language_beats_the_key(node: Node, double: Double, vendors: Vendors) -> None:
    desk, account = await _desk(node, double, vendors, keys=DEEPGRAM, did={"transcription_language": "fr"})
    async with desk.call() as caller:
        await caller.silence_after(PITCH[GREETING])
        ended = await caller.say(clip("en_order_slt"))
        await caller.hears(1300, after=ended)
    await desk.trace(caller.number)
    assert _opened(account, "deepgram", "language") == [("fr",)]


async def test_an_interim_word_interrupts_the_agent_early(node: Node, double: Double, vendors: Vendors) -> None:
    """``ai.speech_min_ms`` is far away; the engine's interim text is what stops the agent."""
    desk, account = await _desk(node, double, vendors, keys=DEEPGRAM | {"ai.speech_min_ms": 2000})
    account.script.stt.partial_every_ms = 60
    desk.account.sounds[ANSWERS[0]] = Sound(1300, 4000)
    async with desk.call() as caller:
        await caller.silence_after(PITCH[GREETING])
        ended = await caller.say(clip("en_order_slt"))
        await caller.hears(1300, after=ended)
        await asyncio.sleep(0.8)
        spoken = asyncio.create_task(caller.say(clip("en_order_slt")))
        await caller.hears(1500, after=ended)
        await spoken
    trace = await desk.trace(caller.number)
    assert [one["outcome"] for one in trace["interruptions"]] == ["committed"]
    assert trace["interruptions"][0]["voiced_ms"] < 2000
    tone = next(one for one in caller.heard() if one.hertz == 1300)
    assert tone.ms < 3000, tone
