"""The ElevenLabs adapters against the double that ElevenLabs' own SDK agrees with, through the guarded client."""

from __future__ import annotations

import asyncio
import audioop
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from sivo.media.protocol import Stage
from sivo.outbound.client import GuardedClient
from sivo.simulators import role
from sivo.simulators.script import Account, FaultOrder, Script, TtsScript, World
from sivo.speech.alignment import Alignment, word_ends
from sivo.speech.elevenlabs_tts import ElevenLabsSynthesizer
from sivo.speech.faults import ProviderError

WS, DIALOGUE, HTTP = "elevenlabs_ws", "elevenlabs_dialogue", "elevenlabs_http"
TEXT = "Good morning, how can I help you?"


@asynccontextmanager
async def voice(
    script: Script | None = None, model: str = "eleven_multilingual_v2", **more: Any
) -> AsyncIterator[tuple[ElevenLabsSynthesizer, Account]]:
    world = World(anyone=False)
    account = world.make("xi-key", script or Script(tts=TtsScript(first_byte_ms=5, piece_every_ms=1)))
    async with role.serving(world) as port:
        client = GuardedClient(f"127.0.0.0/8:{port}", True)
        place = f"http://127.0.0.1:{port}"
        stage = Stage(
            protocol="elevenlabs", base_url=place, model=model, api_key="xi-key", voice="rachel", language="en"
        )
        made = ElevenLabsSynthesizer(client, stage, **more)
        try:
            yield made, account
        finally:
            await made.close()
            await client.close()


async def collect(made: ElevenLabsSynthesizer, text: str) -> tuple[bytes, Alignment | None]:
    audio, last = bytearray(), None
    async with aclosing(made.speak(text)) as pieces:
        async for piece in pieces:
            if isinstance(piece, Alignment):
                last = piece
            else:
                audio += piece
    return bytes(audio), last


def messages(account: Account, protocol: str = WS) -> list[dict[str, Any]]:
    return [json.loads(entry.data["text"]) for entry in account.entries(protocol, "message")]


async def test_an_utterance_is_a_context_with_its_alignment_on_one_clock() -> None:
    async with voice() as (made, account):
        audio, alignment = await collect(made, TEXT)
        second, _ = await collect(made, "Bye.")
    assert alignment is not None and alignment.characters.strip() == TEXT
    ends = word_ends(TEXT, alignment)
    assert len(ends) == len(TEXT.split()) and ends == sorted(ends)
    assert abs(alignment.ends_ms[-1] - len(audio) / 16) < 25, "the clock has run as far as the audio"
    assert second and account.offences == []
    (opened,) = account.entries(WS, "open")
    query = opened.data["query"]
    assert opened.data["voice"] == "rachel"
    assert (query["model_id"], query["output_format"], query["auto_mode"]) == (
        "eleven_multilingual_v2",
        "ulaw_8000",
        "true",
    )
    assert "language_code" not in query, "this model answers an error to a language"


async def test_g711_comes_through_bit_by_bit() -> None:
    codes = bytes(range(256))
    back = audioop.lin2ulaw(audioop.ulaw2lin(codes, 2), 2)
    # Both codes of zero sound the same; every other code is its own.
    assert [code for code in range(256) if back[code] != code] == [0x7F]


async def test_rapid_interruptions_never_open_a_sixth_context() -> None:
    script = Script(tts=TtsScript(first_byte_ms=5, piece_every_ms=1, final_ms=300))
    async with voice(script) as (made, account):
        for _ in range(14):
            async with aclosing(made.speak(TEXT)) as pieces:
                await anext(pieces)
        audio, _ = await collect(made, TEXT)
    assert audio and account.offences == []


async def test_contexts_that_never_end_get_a_second_socket() -> None:
    script = Script(tts=TtsScript(first_byte_ms=5, piece_every_ms=1, final_ms=20_000))
    async with voice(script) as (made, account):
        for _ in range(6):
            async with aclosing(made.speak(TEXT)) as pieces:
                await anext(pieces)
    assert account.offences == [] and len(list(account.entries(WS, "open"))) == 2


async def test_late_audio_of_a_closed_context_is_dropped() -> None:
    script = Script(
        tts=TtsScript(first_byte_ms=5, piece_every_ms=1), faults=[FaultOrder(protocol=WS, kind="late_audio")]
    )
    async with voice(script) as (made, _):
        alone, _ = await collect(made, "One moment.")
        again, _ = await collect(made, "One moment.")
        await asyncio.sleep(0.2)
        third, _ = await collect(made, "One moment.")
    assert alone == again == third


async def test_v3_goes_over_the_dialogue_socket_with_its_tags() -> None:
    async with voice(model="eleven_v3") as (made, account):
        audio, alignment = await collect(made, "[laughs] That is a good one.")
    assert audio and account.offences == [] and alignment is not None
    assert len(word_ends("That is a good one.", alignment)) == 5
    (words,) = [message["inputs"] for message in messages(account, DIALOGUE) if "inputs" in message]
    assert words == [{"text": "[laughs] That is a good one.", "voice_id": "rachel"}]
    assert list(account.entries(WS, "open")) == []
    assert next(account.entries(DIALOGUE, "open")).data["query"]["language_code"] == "en"


async def test_v3_without_access_to_the_socket_goes_over_http() -> None:
    script = Script(tts=TtsScript(first_byte_ms=5, dialogue=False))
    async with voice(script, "eleven_v3") as (made, account):
        first, _ = await collect(made, TEXT)
        second, _ = await collect(made, TEXT)
    assert first == second and len(first) > 16_000
    assert len(list(account.entries(DIALOGUE, "open"))) == 1, "the socket is tried once"
    asked = [entry.data for entry in account.entries(HTTP, "request")]
    assert asked == [{"text": TEXT, "model_id": "eleven_v3", "language_code": "en"}] * 2
    assert {entry.data["output_format"] for entry in account.entries(HTTP, "open")} == {"ulaw_8000"}


async def test_a_refused_handshake_is_no_end_while_http_is_open() -> None:
    script = Script(tts=TtsScript(first_byte_ms=5), faults=[FaultOrder(protocol=WS, kind="forbidden", times=9)])
    async with voice(script) as (made, account):
        audio, _ = await collect(made, TEXT)
    assert len(audio) > 16_000 and len(list(account.entries(HTTP, "request"))) == 1


FAULTS = {
    "too_many_concurrent_requests": ("rejected", "HTTP 429"),
    "internal_server_error": ("refused", "HTTP 500"),
    "refused": ("refused", ""),
    "stalled": ("slow", "time limit"),
    "cut": ("cut", "1006"),
    "stall": ("slow", ""),
    "garbage": ("garbage", "not JSON"),
    "error": ("rejected", "quota_exceeded: the quota of characters is used up"),
    "closed": ("rejected", "quota_exceeded: the quota of characters is used up"),
}


@pytest.mark.parametrize("kind", FAULTS)
async def test_every_fault_of_the_socket_has_its_name(kind: str) -> None:
    cause, detail = FAULTS[kind]
    # A handshake that is cut is tried once more by the HTTP client.
    faults = [FaultOrder(protocol=WS, kind=kind, after_ms=200 if kind == "cut" else 0, times=1 + (kind == "refused"))]
    script = Script(tts=TtsScript(first_byte_ms=5, piece_every_ms=1, tones={TEXT: 500}), faults=faults)
    async with voice(script, first_byte_s=1.0) as (made, account):
        with pytest.raises(ProviderError) as failed:
            await collect(made, TEXT)
        assert (failed.value.cause, detail in failed.value.detail) == (cause, True), failed.value
        if kind != "stall":
            audio, _ = await collect(made, TEXT)
            assert audio, "the next utterance has a socket that works"
    assert account.offences == []


@pytest.mark.parametrize(
    ("kind", "words"), [("invalid_api_key", "credential"), ("quota_exceeded", "the quota of characters is used up")]
)
async def test_what_refuses_a_handshake_gets_its_name_over_http(kind: str, words: str) -> None:
    faults = [FaultOrder(protocol=protocol, kind=kind, times=9) for protocol in (WS, HTTP)]
    async with voice(Script(faults=faults)) as (made, _):
        with pytest.raises(ProviderError) as failed:
            await collect(made, TEXT)
    assert (failed.value.cause, failed.value.status) == ("rejected", 401)
    assert words in failed.value.detail and kind in failed.value.detail


@pytest.mark.parametrize(
    ("model", "script", "words"),
    [
        ("eleven_nova_v2", TtsScript(), "model_not_found"),
        ("eleven_v3", TtsScript(dialogue=False, voices=["other"]), "voice_not_found"),
    ],
)
async def test_a_wrong_model_or_voice_is_named(model: str, script: TtsScript, words: str) -> None:
    async with voice(Script(tts=script), model) as (made, _):
        with pytest.raises(ProviderError) as failed:
            await collect(made, TEXT)
    assert failed.value.cause == "rejected"
    assert words in failed.value.detail
