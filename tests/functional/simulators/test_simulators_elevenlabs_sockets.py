"""The multi-context doubles, spoken to by hand: no SDK of ElevenLabs opens more than one context on a socket."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from sivo.simulators import role
from sivo.simulators.script import Account, Script, TtsScript, World

SPEECH = "/v1/text-to-speech/rachel/multi-stream-input"
DIALOGUE = "/v1/text-to-dialogue/multi-stream-input"
WORDS = "Hello there."
SCRIPT = Script(tts=TtsScript(first_byte_ms=1, piece_every_ms=0, final_ms=200, tones={WORDS: 500}, voices=["rachel"]))


@asynccontextmanager
async def dialled(path: str, **query: str) -> AsyncIterator[tuple[aiohttp.ClientWebSocketResponse, Account]]:
    world = World(anyone=False)
    account = world.make("xi", SCRIPT)
    async with role.serving(world) as port, aiohttp.ClientSession() as session:
        asked = {"model_id": "eleven_flash_v2_5", "output_format": "ulaw_8000"} | query
        address = f"http://127.0.0.1:{port}{path}"
        async with session.ws_connect(address, params=asked, headers={"xi-api-key": "xi"}) as socket:
            yield socket, account


async def spoken(socket: aiohttp.ClientWebSocketResponse, name: str, flag: str) -> list[dict[str, Any]]:
    got = []
    async for message in socket:
        got.append(json.loads(message.data))
        if got[-1].get(name) == "c1" and got[-1].get(flag):
            return got
    raise AssertionError(f"closed with {socket.close_code}")


async def test_a_sixth_context_closes_the_socket() -> None:
    async with dialled(SPEECH) as (socket, account):
        for number in range(6):
            await socket.send_json({"text": " ", "context_id": f"c{number}"})
        message = await socket.receive(timeout=5)
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1008)
        assert "contexts" in str(message.extra)
    assert [entry.data["what"] for entry in account.offences] == ["a sixth context was opened"]


async def test_a_closed_context_counts_until_it_is_final() -> None:
    async with dialled(SPEECH) as (socket, account):
        for number in range(5):
            await socket.send_json({"text": " ", "context_id": f"c{number}"})
            await socket.send_json({"context_id": f"c{number}", "close_context": True})
        await spoken(socket, "contextId", "isFinal")
        await socket.send_json({"text": " ", "context_id": "again"})
        await socket.send_json({"text": f"{WORDS} ", "context_id": "again", "flush": True})
        assert not socket.closed
    assert account.offences == []


async def test_times_of_every_message_restart_and_are_as_long_as_its_audio() -> None:
    async with dialled(SPEECH) as (socket, account):
        await socket.send_json({"text": " ", "context_id": "c1", "voice_settings": {"stability": 0.5}})
        await socket.send_json({"text": f"{WORDS} ", "context_id": "c1", "flush": True})
        await socket.send_json({"context_id": "c1", "close_context": True})
        *pieces, _ = await spoken(socket, "contextId", "isFinal")
    text = ""
    for piece in pieces:
        times = piece["alignment"]
        assert times["charStartTimesMs"][0] == 0
        span = times["charStartTimesMs"][-1] + times["charDurationsMs"][-1]
        assert span == len(base64.b64decode(piece["audio"])) / 8
        text += "".join(times["chars"])
    assert text == WORDS and len(pieces) > 2 and account.offences == []


async def test_dialogue_speaks_snake_case_and_takes_voices_once() -> None:
    async with dialled(DIALOGUE, model_id="eleven_v3", sync_alignment="true") as (socket, account):
        await socket.send_json({"context_id": "c1", "voices": ["rachel"]})
        await socket.send_json({"context_id": "c1", "inputs": [{"text": WORDS, "voice_id": "rachel"}], "flush": True})
        await socket.send_json({"context_id": "c1", "close_context": True})
        *pieces, _ = await spoken(socket, "context_id", "is_final")
        assert all("char_start_times_ms" in piece["alignment"] for piece in pieces)
        await socket.send_json({"context_id": "c2", "voices": ["rachel"]})
        await socket.send_json({"context_id": "c2", "voices": ["rachel"]})
        message = await socket.receive(timeout=5)
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1008)
    assert len(account.offences) == 1


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        (SPEECH, {"model_id": "eleven_v3"}, 403),
        (DIALOGUE, {"model_id": "eleven_flash_v2_5"}, 403),
        (SPEECH, {"model_id": "eleven_multilingual_v2", "language_code": "es"}, 400),
        (SPEECH, {"xi_api_key": "xi"}, 400),
        (SPEECH, {"inactivity_timeout": "181"}, 400),
        (SPEECH.replace("rachel", "nobody"), {}, 404),
    ],
)
async def test_handshakes_that_are_refused(path: str, query: dict[str, str], status: int) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with dialled(path, **query):
            pass
    assert refused.value.status == status


async def test_small_offences_are_written_down() -> None:
    async with dialled(SPEECH) as (socket, account):
        await socket.send_json({"text": " ", "context_id": "c1"})
        await socket.send_json({"context_id": "c1", "flush": True})
        await socket.send_json({"text": "no space", "context_id": "c1"})
        await socket.send_json({"text": "x ", "context_id": "c1", "voice_settings": {}})
        await socket.send_json({"context_id": "c1", "close_context": True})
        await socket.send_json({"text": "late ", "context_id": "c1"})
        await spoken(socket, "contextId", "isFinal")
    assert [entry.data["what"] for entry in account.offences] == [
        "c1 was flushed without text",
        "text does not end with a space",
        "voice_settings after the first message of a context",
        "a message for c1, which is being closed",
    ]
