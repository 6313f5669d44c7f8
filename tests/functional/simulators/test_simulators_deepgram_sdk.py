"""Deepgram's own SDK against the double: it connects, streams, and reads what the double says with its own types."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from deepgram import AsyncDeepgramClient
from deepgram.core.api_error import ApiError
from deepgram.environment import DeepgramClientEnvironment
from deepgram.listen.v1.types import ListenV1Metadata, ListenV1Results, ListenV1SpeechStarted, ListenV1UtteranceEnd

from sivo.simulators import role
from sivo.simulators.script import FaultOrder, Script, SttScript, World
from support.tones import silence, speak, table, ulaw_frames

HEARD = table("where is my order please")
LIVE = {
    "model": "nova-2",
    "language": "en",
    "encoding": "mulaw",
    "sample_rate": "8000",
    "interim_results": "true",
    "endpointing": "300",
    "utterance_end_ms": "1000",
    "vad_events": "true",
    "smart_format": "true",
}


@asynccontextmanager
async def sdk(world: World, key: str) -> AsyncIterator[AsyncDeepgramClient]:
    async with role.serving(world) as port:
        place = f"http://127.0.0.1:{port}"
        socket = f"ws://127.0.0.1:{port}"
        environment = DeepgramClientEnvironment(base=place, production=socket, agent=socket, agent_rest=place)
        yield AsyncDeepgramClient(api_key=key, environment=environment)


async def collect(connection: Any) -> list[Any]:
    return [message async for message in connection]


async def test_the_sdk_streams_and_reads_interims_finals_and_events() -> None:
    world = World(anyone=False)
    account = world.make("dg-key", Script(stt=SttScript(tones=HEARD, final_delay_ms=20)))
    async with sdk(world, "dg-key") as client, client.listen.v1.connect(**LIVE) as connection:
        reading = asyncio.create_task(collect(connection))
        audio = silence(200) + speak("where is my order", HEARD) + silence(1600)
        for frame in ulaw_frames(audio):
            await connection.send_media(frame)
            await asyncio.sleep(0)
        await asyncio.sleep(0.1)
        await connection.send_keep_alive()
        for frame in ulaw_frames(speak("please", HEARD) + silence(60)):
            await connection.send_media(frame)
        await connection.send_finalize()
        await asyncio.sleep(0.1)
        await connection.send_close_stream()
        messages = await asyncio.wait_for(reading, 5)
    results = [one for one in messages if isinstance(one, ListenV1Results)]
    finals = [one for one in results if one.is_final and one.channel.alternatives[0].transcript]
    assert [one.channel.alternatives[0].transcript for one in finals] == ["where is my order", "please"]
    assert [one.from_finalize for one in finals] == [None, True]
    assert finals[0].speech_final
    words = finals[0].channel.alternatives[0].words
    assert [(word.word, word.start, word.end) for word in words][:2] == [("where", 0.2, 0.4), ("is", 0.46, 0.66)]
    interims = [one.channel.alternatives[0].transcript for one in results if not one.is_final]
    assert "where is" in interims, interims
    assert any(isinstance(one, ListenV1SpeechStarted) for one in messages)
    ends = [one for one in messages if isinstance(one, ListenV1UtteranceEnd)]
    assert [one.last_word_end for one in ends] == [1.18]
    assert isinstance(messages[-1], ListenV1Metadata)
    assert account.offences == []
    opened = next(account.entries("deepgram", "open"))
    assert opened.data["scheme"] == "Token"
    assert opened.data["query"] == LIVE


@pytest.mark.parametrize(
    ("kind", "status"),
    [("auth_error", 401), ("no_credit", 402), ("forbidden", 403), ("rate_limited", 429), ("server_error", 503)],
)
async def test_refusals_reach_the_sdk_as_its_own_error(kind: str, status: int, caplog: Any) -> None:
    caplog.set_level(logging.CRITICAL)
    world = World()
    world.make("dg-key", Script(faults=[FaultOrder(protocol="deepgram", kind=kind)]))
    async with sdk(world, "dg-key") as client:
        with pytest.raises(ApiError) as refused:
            async with client.listen.v1.connect(**LIVE):
                pass
    assert refused.value.status_code == status


async def test_an_unknown_key_and_an_unknown_model_are_refused() -> None:
    world = World(anyone=False)
    world.make("dg-key")
    for key, query, status in (("wrong", LIVE, 401), ("dg-key", LIVE | {"model": "nova-99x"}, 400)):
        async with sdk(world, key) as client:
            with pytest.raises(ApiError) as refused:
                async with client.listen.v1.connect(**query):
                    pass
        assert refused.value.status_code == status


async def test_ten_idle_seconds_end_in_net_0001(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sivo.simulators.deepgram_stream.IDLE_MS", 300)
    world = World()
    async with sdk(world, "any") as client, client.listen.v1.connect(**LIVE) as connection:
        await connection.send_media(ulaw_frames(silence(20))[0])
        with pytest.raises(Exception, match="net0001"):
            await asyncio.wait_for(connection.recv(), 3)
