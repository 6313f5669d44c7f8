"""Live transcription of people: engine, language (DID and policy before key) and separation, seen by the vendor.

Both sides speak in tones that the simulated recogniser has a table for, so that every word of every leg can be asked
for exactly once.
"""

from __future__ import annotations

import asyncio

import pytest

from sivo.simulators.script import FaultOrder, Script, SttScript
from support import provider_double
from support.ai_desk import GREETING, PITCH, Places, clip, open_desk
from support.conformance import conformance
from support.conformance_table import Evidence
from support.people_desk import CALLER, HEARD, PERSON, talk, team, words
from support.provider_double import STT, Double
from support.raw_phone import RawPhone
from support.rtp_phone import RtpPhone
from support.running_node import Node
from support.tones import silence, speak
from support.vendor_world import Vendors

pytestmark = pytest.mark.asyncio(loop_scope="session")


@conformance("transcription.engine", "which wire protocol is spoken", "simulators proven by the vendors' SDKs")
@conformance(
    "transcription.speaker_separation", "a fork per leg, or one mixed stream", "simulators proven by the vendors' SDKs"
)
async def test_engine_language_and_separation_are_what_is_set(node: Node, vendors: Vendors, evidence: Evidence) -> None:
    keys = {"transcription.engine": "elevenlabs_scribe_v2_realtime", "transcription.language": "it"}
    async with team(node, vendors, keys) as one:
        await one.api("POST", "/api/transcription-policies", {"name": "all"})
        await asyncio.sleep(1.0)
        trace = await talk(one, speak(CALLER, HEARD), speak(PERSON, HEARD))
        assert await words(one, trace, "caller", "agent") == {"caller": CALLER, "agent": PERSON}
        assert one.opened("scribe", "model_id", "language_code") == [("scribe_v2_realtime", "it")] * 2
        assert one.opened("deepgram") == []
        assert (trace["call"]["transcription_started"], trace["call"]["transcription_errors"]) == (True, 0)

        await one.change({"transcription.engine": "deepgram", "transcription.language": "pt"})
        trace = await talk(one, speak(CALLER, HEARD), speak(PERSON, HEARD))
        assert await words(one, trace, "caller", "agent") == {"caller": CALLER, "agent": PERSON}
        assert one.opened("deepgram", "language", "tag") == [("pt", "agent"), ("pt", "caller")]
        assert len(one.opened("scribe")) == 2

        await one.change({"transcription.speaker_separation": False})
        one.account.ledger.clear()
        trace = await talk(one, speak(CALLER, HEARD), speak(PERSON, HEARD))
        assert await words(one, trace, "mixed") == {"mixed": f"{CALLER} {PERSON}"}
        assert one.opened("deepgram", "tag") == [("mixed",)]
        assert one.account.offences == []
    evidence("transcription.engine", "scribe: 2 sockets, deepgram 0; then deepgram: 2 sockets")
    evidence("transcription.speaker_separation", "true: tags agent, caller; false: one stream tagged mixed")


async def test_did_before_key_and_policy_before_both(node: Node, vendors: Vendors) -> None:
    keys = {"transcription.engine": "deepgram", "transcription.language": "it"}
    async with team(node, vendors, keys, transcription_language="fr") as one:
        policy = await one.api("POST", "/api/transcription-policies", {"name": "all"})
        await asyncio.sleep(1.0)
        await talk(one, speak(CALLER, HEARD), silence(20))
        assert one.opened("deepgram", "language") == [("fr",), ("fr",)]
        scoped = {"name": "did", "scope": "did", "scope_id": one.did_id, "language": "de", "speaker_separation": False}
        await one.api("POST", "/api/transcription-policies", scoped)
        await asyncio.sleep(1.0)
        one.account.ledger.clear()
        await talk(one, speak(CALLER, HEARD), silence(20))
        assert one.opened("deepgram", "language", "tag") == [("de", "mixed")]
        assert policy["name"] == "all"


async def test_without_a_policy_no_stream_is_opened(node: Node, vendors: Vendors) -> None:
    async with team(node, vendors, {"transcription.engine": "deepgram"}) as one:
        trace = await talk(one, speak(CALLER, HEARD), speak(PERSON, HEARD))
        assert await words(one, trace) == {}
        assert one.account.ledger == []
        assert trace["call"]["transcription_started"] is False


async def test_a_broken_line_is_counted_and_costs_no_word(node: Node, vendors: Vendors) -> None:
    async with team(
        node, vendors, {"transcription.engine": "deepgram", "transcription.speaker_separation": False}
    ) as one:
        one.account.script.faults.append(FaultOrder(protocol="deepgram", kind="cut", after_ms=1800))
        await one.api("POST", "/api/transcription-policies", {"name": "all"})
        await asyncio.sleep(1.0)
        trace = await talk(one, speak(CALLER, HEARD), speak(PERSON, HEARD))
        assert await words(one, trace, "mixed") == {"mixed": f"{CALLER} {PERSON}"}
        assert len(one.opened("deepgram")) == 2
        assert (trace["call"]["transcription_started"], trace["call"]["transcription_errors"]) == (True, 1)


async def test_a_policy_that_is_switched_off_stops_a_running_transcription(node: Node, vendors: Vendors) -> None:
    async with team(node, vendors, {"transcription.engine": "deepgram"}) as one:
        policy = await one.api("POST", "/api/transcription-policies", {"name": "all"})
        await asyncio.sleep(1.0)

        async def off() -> None:
            await asyncio.sleep(1.0)  # what was said before is told
            await one.api("PATCH", f"/api/transcription-policies/{policy['id']}", {"active": False})
            await asyncio.sleep(1.5)
            assert len(list(one.account.entries("deepgram", "close"))) == 2, "the streams are still open"

        trace = await talk(one, speak(CALLER, HEARD), speak(PERSON, HEARD), between=off)
        assert await words(one, trace, "caller") == {"caller": CALLER}


async def test_the_last_words_before_the_hang_up_are_not_lost(node: Node, vendors: Vendors) -> None:
    async with team(node, vendors, {"transcription.engine": "deepgram"}) as one:
        await one.api("POST", "/api/transcription-policies", {"name": "all"})
        await asyncio.sleep(1.0)
        trace = await talk(one, speak(CALLER, HEARD), speak(PERSON, HEARD), quiet_ms=0)
        assert await words(one, trace, "caller", "agent") == {"caller": CALLER, "agent": PERSON}


async def test_whisper_is_asked_by_segments_of_a_leg(node: Node, vendors: Vendors, double: Double) -> None:
    async with team(node, vendors, {"transcription.engine": "whisper", "transcription.language": "pt"}) as one:
        account: provider_double.Account = double.account()
        account.heard = ["where is my order"]
        secret = {"value": account.key, "base_url": double.url, "host": "127.0.0.1"}
        await one.api("PUT", "/api/secrets/transcription_api_key", secret)
        await one.api("POST", "/api/transcription-policies", {"name": "all"})
        await asyncio.sleep(1.5)
        trace = await talk(one, clip("en_order_slt"), silence(20))
        assert await words(one, trace, "caller", "agent") == {"caller": "where is my order", "agent": ""}
        assert account.values(STT, "language") == {"pt"}
        assert account.offences == []


async def test_after_the_agent_s_transfer_the_people_are_transcribed(
    node: Node, vendors: Vendors, double: Double
) -> None:
    agent_keys = {"ai.stt_provider": "deepgram", "ai.stt_model": "nova-3", "transcription.engine": "deepgram"}
    places = Places(stt=vendors.url)
    desk = await open_desk(node, double, keys=agent_keys, agent={"transfer_to": "1001"}, places=places)
    vendors.world.make(desk.account.key, Script(stt=SttScript(utterances=["a person please"])))
    people = vendors.world.make(f"{desk.account.key}-people", Script(stt=SttScript(tones=HEARD)))
    secret = {"value": people.key, "base_url": vendors.url, "host": "127.0.0.1"}
    await desk.api("PUT", "/api/secrets/transcription_api_key", secret)
    desk.account.replies = [{"response": "Of course.", "action": "transfer", "variables": {}}]
    extension = await desk.api("POST", "/api/extensions", {"number": "1001", "name": "Ana"})
    host, _, port = node.proxy.partition(":")
    person = await RawPhone.open("1001", desk.sip_domain, extension["sip_password"], (host, int(port)))
    ear = await RtpPhone.open()
    person.rtp_port, person.auto_answer = ear.port, 200
    try:
        await asyncio.sleep(1.5)
        assert (await person.register()).status == 200
        async with desk.call() as caller:
            await caller.silence_after(PITCH[GREETING], quiet_ms=500)
            await caller.say(clip("en_order_slt"))
            invite = await person.wait("INVITE", 10)
            await person.wait("ACK", 5)
            ear.call(host, invite.rtp_port)
            ear.start()
            await asyncio.sleep(0.5)
            await caller.say(speak(CALLER, HEARD))
            ear.play(speak(PERSON, HEARD))
            while ear.playing_ms:
                await asyncio.sleep(0.02)
            await asyncio.sleep(1.0)
        trace = await desk.trace(caller.number)
    finally:
        person.close()
        await ear.close()
    transcript = await desk.api("GET", f"/api/calls/{trace['call']['id']}/transcript")
    said = [(one["speaker"], one["text"]) for one in transcript]
    assert said[:3] == [("agent", GREETING), ("caller", "a person please"), ("agent", "Of course.")]
    assert " ".join(text for speaker, text in said[3:] if speaker == "caller") == CALLER
    assert " ".join(text for speaker, text in said[3:] if speaker == "agent") == PERSON
    assert people.offences == []
