"""Language model and voice of AI calls on the wire: what the tenant set is what the vendor sees, on calls that start
later.

The observer is the simulator that the SDKs of ElevenLabs and OpenAI agree with (tests/functional/simulators). No value
is a shipped default.
"""

from __future__ import annotations

import audioop
import json
from typing import Any

import numpy as np
import pytest

from sivo.simulators.script import Account, FaultOrder, LlmScript, Script, TtsScript
from support.ai_desk import APOLOGY, GREETING, PITCH, Caller, Desk, Places, clip, open_desk
from support.conformance import conformance
from support.conformance_table import Evidence
from support.provider_double import LLM, Double
from support.running_node import Node
from support.vendor_world import Vendors

pytestmark = pytest.mark.asyncio(loop_scope="session")

SOCKET, DIALOGUE, CHAT = "elevenlabs_ws", "elevenlabs_dialogue", "openai_chat"
FIRST, SECOND = "First answer here.", "Second answer here."
TONES = PITCH | {FIRST: 1300, SECOND: 1500, f"[laughs] {FIRST}": 1300, f"[laughs] {SECOND}": 1500}
VOICE = {"ai.tts_provider": "elevenlabs", "ai.tts_model": "eleven_turbo_v2_5", "ai.tts_voice_id": "carmen"}
KEYS = VOICE | {"ai.llm_model": "thinks-1"}


async def _desk(
    node: Node, double: Double, vendors: Vendors, keys: dict[str, Any], *, llm: str = "", **more: Any
) -> tuple[Desk, Account]:
    where = Places(tts=vendors.url, llm=llm or f"{vendors.url}/v1")
    desk = await open_desk(node, double, keys=keys, places=where, **more)
    desk.account.heard = ["where is my order", "and the second one", "thank you"]
    desk.account.replies = [FIRST]
    script = Script(
        tts=TtsScript(tones=TONES, first_byte_ms=20),
        llm=LlmScript(replies=[FIRST, SECOND], first_token_ms=20),
    )
    return desk, vendors.world.make(desk.account.key, script)


async def _turn(caller: Caller, hertz: int) -> None:
    ended = await caller.say(clip("en_order_slt"))
    await caller.hears(hertz, after=ended)
    await caller.silence_after(hertz)


def _spoken_by(account: Account, protocol: str) -> set[tuple[str, str]]:
    return {(entry.data["voice"], entry.data["query"]["model_id"]) for entry in account.entries(protocol, "open")}


def _asked(account: Account) -> list[dict[str, Any]]:
    return [entry.data for entry in account.entries(CHAT, "request")]


async def test_voice_and_model_are_what_is_set_and_a_running_call_keeps_them(
    node: Node, double: Double, vendors: Vendors
) -> None:
    desk, account = await _desk(node, double, vendors, KEYS)
    async with desk.call() as first:
        await first.silence_after(PITCH[GREETING])
        await _turn(first, 1300)
        await desk.change(
            {
                "ai.tts_model": "eleven_flash_v2_5",
                "ai.tts_voice_id": "jorge",
                "ai.llm_model": "thinks-2",
                "ai.llm_base_url": double.other_url,
            }
        )
        await _turn(first, 1500)
    assert _spoken_by(account, SOCKET) == {("carmen", "eleven_turbo_v2_5")}
    assert {body["model"] for body in _asked(account)} == {"thinks-1"} and len(_asked(account)) == 2
    assert desk.account.asked(LLM) == []
    await desk.trace(first.number)
    account.ledger.clear()
    async with desk.call() as second:
        await second.silence_after(PITCH[GREETING])
        await _turn(second, 1300)
    assert _spoken_by(account, SOCKET) == {("jorge", "eleven_flash_v2_5")}
    assert _asked(account) == []
    assert desk.account.values(LLM, "model") == {"thinks-2"}
    assert desk.account.values(LLM, "base_url") == {double.other_url}
    trace = await desk.trace(second.number)
    usage = trace["conversations"][0]["usage"]
    assert usage["tts_characters"] >= len(FIRST) and usage["llm_completion_tokens"] > 0
    assert usage["stt_audio_seconds"] > 0
    assert trace["call"]["usage"] == usage, "also on the CDR"
    assert account.offences == [] and desk.account.offences == []


@conformance("ai.tts_provider", "wire protocol of the voice", "simulators proven by the vendors' SDKs")
async def test_the_provider_decides_the_protocol(
    node: Node, double: Double, vendors: Vendors, evidence: Evidence
) -> None:
    desk, account = await _desk(node, double, vendors, KEYS)
    async with desk.call() as caller:
        await caller.silence_after(PITCH[GREETING])
    assert list(account.entries(SOCKET, "open")) and not list(account.entries("openai_speech", "request"))
    account.ledger.clear()
    secret = {"value": desk.account.key, "base_url": f"{vendors.url}/v1", "host": "127.0.0.1"}
    await desk.api("PUT", "/api/secrets/tts_api_key", secret)
    await desk.change({"ai.tts_provider": "openai", "ai.tts_model": "tts-9", "ai.tts_voice_id": "nova"})
    async with desk.call() as caller:
        await caller.silence_after(PITCH[GREETING])
    asked = [entry.data for entry in account.entries("openai_speech", "request")]
    assert {(body["model"], body["voice"]) for body in asked} == {("tts-9", "nova")}
    assert not list(account.entries(SOCKET, "open"))
    assert account.offences == []
    evidence("ai.tts_provider", "elevenlabs: stream-input socket; openai: audio/speech")


@pytest.mark.parametrize(("model", "tags"), [("eleven_flash_v2_5", False), ("eleven_v3", True)])
async def test_audio_tags_reach_only_models_that_perform_them(
    node: Node, double: Double, vendors: Vendors, model: str, tags: bool
) -> None:
    desk, account = await _desk(node, double, vendors, KEYS | {"ai.tts_model": model})
    account.script.llm.replies = [f"[laughs] {FIRST}", f"[laughs] {SECOND}"]
    async with desk.call() as caller:
        await caller.silence_after(PITCH[GREETING])
        await _turn(caller, 1300)
        await _turn(caller, 1500)
    protocol = DIALOGUE if tags else SOCKET
    sent = " ".join(entry.data["text"] for entry in account.entries(protocol, "message"))
    assert FIRST in sent and ("[laughs]" in sent) == tags
    history = json.dumps(_asked(account)[1]["messages"])
    assert FIRST in history and "laughs" not in history, "the model's context holds no tags"
    trace = await desk.trace(caller.number)
    transcript = await desk.api("GET", f"/api/calls/{trace['call']['id']}/transcript")
    said = [one["text"] for one in transcript if one["speaker"] == "agent"]
    assert FIRST in said and SECOND in said and not any("laughs" in text for text in said)
    assert account.offences == []


async def test_g711_goes_from_the_vendor_to_the_phone_bit_by_bit(node: Node, double: Double, vendors: Vendors) -> None:
    desk, _ = await _desk(node, double, vendors, KEYS)
    async with desk.call() as caller:
        await caller.silence_after(PITCH[GREETING])
        got = b"".join(packet.payload for packet in caller.rtp.received if packet.payload_type == 0)
    each = min(60, 1000 // len(GREETING))
    time = np.arange(8 * each * len(GREETING)) / 8000
    edge = np.minimum(1.0, np.minimum(time, time[::-1]) / 0.005)
    made = audioop.lin2ulaw((9000 * edge * np.sin(2 * np.pi * PITCH[GREETING] * time)).astype("<i2").tobytes(), 2)
    assert made in got, "the vendor's bytes are on the wire as they are"


async def test_a_retired_model_is_named_and_the_caller_hears_an_apology(
    node: Node, double: Double, vendors: Vendors
) -> None:
    desk, account = await _desk(node, double, vendors, VOICE | {"ai.llm_model": "llama-3.1-8b-instant"})
    account.script.llm.retired = ["llama-3.1-8b-instant"]
    async with desk.call() as caller:
        await caller.silence_after(PITCH[GREETING])
        ended = await caller.say(clip("en_order_slt"))
        apology = await caller.hears(PITCH[APOLOGY], after=ended)
        await caller.hung_up()
    assert apology.begun - ended < 2.5 * 3
    (fault,) = (await desk.trace(caller.number))["faults"]
    assert (fault["stage"], fault["cause"]) == ("llm", "rejected")
    assert "model_not_found" in fault["detail"] and "openai/gpt-oss-120b" in fault["detail"]


async def test_the_second_provider_takes_over_in_the_call(node: Node, double: Double, vendors: Vendors) -> None:
    second = {
        "llm": {"base_url": f"{vendors.url}/v1", "model": "spare"},
        "tts": {"provider": "openai", "model": "spare-voice", "voice": "nova"},
    }
    desk, account = await _desk(node, double, vendors, KEYS, agent={"second": second})
    spare = vendors.world.make(
        f"{desk.account.key}-spare", Script(tts=TtsScript(tones=TONES), llm=LlmScript(replies=[SECOND]))
    )
    account.script.faults = [
        FaultOrder(protocol=CHAT, kind="insufficient_quota", times=99),
        FaultOrder(protocol=SOCKET, kind="error", times=99),
    ]
    for stage in ("llm", "tts"):
        secret = {"value": spare.key, "base_url": f"{vendors.url}/v1", "host": "127.0.0.1"}
        await desk.api("PUT", f"/api/secrets/{stage}_second_api_key", secret)
    await desk.change({"ai.max_turns": 3})
    async with desk.call() as caller:
        await caller.silence_after(PITCH[GREETING])
        await _turn(caller, 1500)
    assert {body["model"] for body in _asked(spare)} == {"spare"}
    assert {entry.data["model"] for entry in spare.entries("openai_speech", "request")} == {"spare-voice"}
    faults = (await desk.trace(caller.number))["faults"]
    assert {(one["stage"], one["action"]) for one in faults} == {("llm", "second provider"), ("tts", "second provider")}
    assert all("quota_exceeded" in one["detail"] for one in faults)
    assert spare.offences == []
