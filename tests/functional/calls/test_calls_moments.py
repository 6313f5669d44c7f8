"""When a change takes effect on calls: everything changes under a running call, and only what is switched off acts."""

from __future__ import annotations

import asyncio
from typing import Any

from call_desk import connect, desk
from call_house import AUTHOR, DID, House

from sivo.calls.answering_agent import describe
from sivo.config.change import SetKey
from sivo.config.key import When
from sivo.config.registry import KEYS
from support.rtp_phone import RtpPhone

STORE = "0198c5a0-0000-7000-8000-00000000beef"
#: Every key that a call pins or seals -> another value than the one that the tenant of these tests has.
CHANGES: dict[str, Any] = {
    "tenant.default_locale": "de",
    "recording.default_format": "mp3",
    "recording.default_retention_days": 12,
    "recording.default_provider_id": STORE,
    "recording.kms_enabled": False,
    "transcription.engine": "whisper",
    "transcription.language": "fr",
    "transcription.speaker_separation": False,
    "transcription.policy_retention_days": 5,
    "ai.stt_provider": "deepgram",
    "ai.stt_model": "nova-3",
    "ai.llm_base_url": "https://llm.example.com/v1",
    "ai.llm_model": "another-model",
    "ai.tts_provider": "elevenlabs",
    "ai.tts_model": "eleven_v3",
    "ai.tts_voice_id": "another-voice",
    "ai.max_turns": 3,
    "ai.max_duration_sec": 77,
    "ai.barge_in_cooldown_ms": 11,
    "ai.speech_min_ms": 99,
}
#: Where the decisions on a call show a key: (kind of decision, field).
DECIDED = {
    "recording.default_format": ("recording", "format"),
    "recording.default_retention_days": ("recording", "retention_days"),
    "recording.default_provider_id": ("recording", "provider_id"),
    "recording.kms_enabled": ("recording", "kms"),
    "transcription.engine": ("transcription", "engine"),
    "transcription.language": ("transcription", "language"),
    "transcription.speaker_separation": ("transcription", "speaker_separation"),
    "transcription.policy_retention_days": ("transcription", "retention_days"),
}
_SEALS = "select extract(epoch from expires_at - created_at) / 86400 as days from recording where call_id = $1"


def test_every_key_that_a_call_pins_or_seals_is_changed_here() -> None:
    moments = (When.CALLS, When.SEALED, When.NOW_AND_CALLS)
    assert set(CHANGES) == {name for name, key in KEYS.items() if key.when in moments}


async def _decided(house: House, call: Any, phase: str) -> dict[str, Any]:
    """Key -> what the decisions of ``phase`` say."""
    query = "select kind, details from call_decision where call_id = $1 and phase = $2"
    await house.until(query + " and kind = 'transcription'", call, phase)
    found = {row["kind"]: row["details"] for row in await house.fetch(query, call, phase)}
    return {key: found[kind][field] for key, (kind, field) in DECIDED.items()}


async def _change_everything(house: House) -> None:
    entry = await house.resources.apply(
        house.tenant, AUTHOR, "everything", [SetKey(key, value) for key, value in CHANGES.items()]
    )
    directory = house.node.services.directory

    def known() -> bool:
        tenant = directory.current.tenant(house.tenant)
        return tenant is not None and tenant.version >= entry.seq

    await house.settled(known)


def _running(house: House) -> Any:
    (call,) = {id(one): one for one in house.node.exchange.calls if not one.ended}.values()
    return call


async def test_a_running_call_keeps_all_it_started_with_and_the_next_has_none_of_it(house: House) -> None:
    other = await desk(house, "101")
    phone, rtp = await house.phone("100"), await RtpPhone.open("127.0.0.1")
    answer = await phone.invite(DID, rtp.port)
    rtp.call("127.0.0.1", answer.rtp_port)
    rtp.start()
    await asyncio.sleep(0.4)
    call = _running(house)
    assert call.agent is not None
    pinned = call.config.snapshot
    before = {key: pinned.read(key) for key in CHANGES}
    said = describe(call.agent, call.config, {}, house.settings)

    await _change_everything(house)
    picture = house.node.services.directory.current.pictures[house.tenant]
    newest = picture.snapshot(call.did, call.agent)
    assert {key: newest.read(key) for key in CHANGES} == CHANGES, "calls from now on"
    for key in CHANGES:
        assert call.config.snapshot.read(key) == before[key] != CHANGES[key], key
    assert describe(call.agent, call.config, {}, house.settings) == said, "all that the agent is made of"

    rtp.press("2")  # the agent hands over: what is decided now is decided by what the call has pinned
    await other.sip.wait("ACK")
    assert await _decided(house, call.id, "bridge") == {key: before[key] for key in DECIDED}
    assert (await phone.bye()).status == 200
    await house.until("select 1 from call where finished")
    sealed = await house.until(_SEALS, call.id)
    assert round(sealed["days"]) == before["recording.default_retention_days"]

    caller = await desk(house, "100")
    await connect(caller, other)
    after = _running(house)
    assert {key: after.config.snapshot.read(key) for key in CHANGES} == CHANGES
    assert await _decided(house, after.id, "bridge") == {key: CHANGES[key] for key in DECIDED}
    await _switched_off(house, after)
    await caller.sip.bye()
    assert round((await house.until(_SEALS, after.id))["days"]) == CHANGES["recording.default_retention_days"]
    assert (await house.fetch(_SEALS, call.id))[0] == sealed, "what is sealed does not move"
    for one in (rtp, caller, other):
        await one.close()


async def _switched_off(house: House, call: Any) -> None:
    """Recording and transcription stop under the running call when their policy is switched off; on is for others."""
    query = "select outcome from call_decision where call_id = $1 and kind = $2 and phase = 'changed'"
    for kind in ("recording", "transcription"):
        resource = f"{kind}_policy"
        for active in (False, True):
            patch = {"active": active}
            await house.resources.update(house.tenant, resource, house.ids[kind], patch, author=AUTHOR)
            assert (await house.until(query, call.id, kind))["outcome"] == "refuse"
    await asyncio.sleep(0.3)
    assert not call.capture.recording_active and not call.capture.transcription.capture
    assert len(await house.fetch(query, call.id, "recording")) == 1, "switching it on again starts nothing"
