"""Whatever happens to the vendor's line: every word of the script stands in the stored transcript exactly once.

The words come back from the database through the API. All calls run at a time on one node. The larger matrix is in
tests/long.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sivo.simulators.script import FaultOrder, LlmScript, Script, TtsScript
from support.ai_desk import FILLER, GREETING, PITCH, Places, clip, open_desk
from support.provider_double import Double
from support.running_node import Node
from support.stored_words import Broken, all_stored
from support.vendor_world import Vendors

pytestmark = pytest.mark.asyncio(loop_scope="session")

MATRIX = [
    Broken("deepgram", "cut", 640),
    Broken("deepgram", "silent", 900),
    Broken("deepgram", "refused"),
    Broken("deepgram", "server_error"),
    Broken("scribe", "cut", 900),
    Broken("scribe", "duplicate", 500, again=False),
]
FIRST, SECOND = "Your order left us yesterday and comes tomorrow morning.", "You are welcome."
QUESTIONS = ["where is my order", "thank you very much"]


async def test_every_word_of_people_is_stored_once(node: Node, vendors: Vendors) -> None:
    await all_stored(node, vendors, MATRIX)


async def test_late_audio_of_a_dead_epoch_is_in_no_stored_word(node: Node, double: Double, vendors: Vendors) -> None:
    keys = {"ai.tts_provider": "elevenlabs", "ai.tts_model": "eleven_turbo_v2_5", "ai.tts_voice_id": "carmen"}
    desk = await open_desk(node, double, keys=keys, places=Places(tts=vendors.url, llm=f"{vendors.url}/v1"))
    desk.account.heard = list(QUESTIONS)
    tones = PITCH | {FIRST: 1300, SECOND: 1500}
    script = Script(
        tts=TtsScript(tones=tones, first_byte_ms=20),
        llm=LlmScript(replies=[FIRST, SECOND], first_token_ms=20),
        faults=[FaultOrder(protocol="elevenlabs_ws", kind="late_audio", times=20)],
    )
    account = vendors.world.make(desk.account.key, script)
    async with desk.call() as caller:
        await caller.silence_after(PITCH[GREETING], quiet_ms=400)
        await caller.say(clip("en_order_slt"))
        await caller.hears(1300)
        await asyncio.sleep(0.3)
        await caller.say(clip("en_order_slt"))  # over the agent: its answer is cut
        await caller.hears(1500)
        await caller.silence_after(1500)
    trace = await desk.trace(caller.number)
    transcript: list[dict[str, Any]] = await desk.api("GET", f"/api/calls/{trace['call']['id']}/transcript")
    heard = [one for one in transcript if one["text"] != FILLER]  # a busy machine gets one, and stores it
    said = {who: [one["text"] for one in heard if one["speaker"] == who] for who in ("caller", "agent")}
    assert said["caller"] == QUESTIONS
    assert len(said["agent"]) == 3, said
    greeting, cut, second = said["agent"]
    assert (greeting, second) == (GREETING, SECOND)
    assert cut and FIRST.startswith(cut) and cut != FIRST, "only what was heard of the cut answer, and once"
    assert account.offences == []
