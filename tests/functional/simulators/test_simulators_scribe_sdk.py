"""The ElevenLabs SDK's realtime speech-to-text against the double."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from elevenlabs.realtime.connection import RealtimeConnection, RealtimeEvents
from elevenlabs.realtime.scribe import AudioFormat, CommitStrategy, ScribeRealtime

from sivo.simulators import role
from sivo.simulators.script import FaultOrder, Script, SttScript, World
from support.tones import silence, speak, table, ulaw_frames

HEARD = table("where is my order please")
ERRORS = (
    *("auth_error", "quota_exceeded", "commit_throttled", "transcriber_error", "unaccepted_terms", "rate_limited"),
    *("input_error", "invalid_request", "queue_overflow", "resource_exhausted", "session_time_limit_exceeded"),
    *("chunk_size_exceeded", "insufficient_audio_activity", "error"),
)


class Heard:
    """Everything that the SDK emits."""

    def __init__(self, connection: RealtimeConnection) -> None:
        self.connection = connection
        self.events: list[tuple[str, dict[str, Any]]] = []
        for event in RealtimeEvents:
            connection.on(event, lambda data=None, name=event.value: self.events.append((name, data or {})))

    async def say(self, pcm16: bytes) -> None:
        """Stream audio."""
        for frame in ulaw_frames(pcm16):
            await self.connection.send({"audio_base_64": base64.b64encode(frame).decode()})
            await asyncio.sleep(0)

    async def until(self, name: str) -> dict[str, Any]:
        """Wait for an event."""
        for _ in range(200):
            found = [data for event, data in self.events if event == name]
            if found:
                return found[-1]
            await asyncio.sleep(0.02)
        raise AssertionError(f"no {name}: {self.events}")

    def texts(self, name: str) -> list[str]:
        """Texts of one kind of event."""
        return [data["text"] for event, data in self.events if event == name]


@asynccontextmanager
async def stream(world: World, key: str = "el-key", **options: Any) -> AsyncIterator[Heard]:
    async with role.serving(world) as port:
        scribe = ScribeRealtime(api_key=key, base_url=f"ws://127.0.0.1:{port}")
        connection = await scribe.connect(
            {  # type: ignore[arg-type]
                "model_id": "scribe_v2_realtime",
                "audio_format": AudioFormat.ULAW_8000,
                "sample_rate": 8000,
                "commit_strategy": CommitStrategy.MANUAL,
                "language_code": "en",
                **options,
            }
        )
        heard = Heard(connection)
        try:
            yield heard
        finally:
            await connection.close()


async def test_the_sdk_streams_commits_and_reads_transcripts() -> None:
    world = World(anyone=False)
    account = world.make("el-key", Script(stt=SttScript(tones=HEARD, final_delay_ms=20, partial_every_ms=100)))
    async with stream(world, include_timestamps=True) as heard:
        await heard.say(silence(200) + speak("where is my order", HEARD) + silence(200))
        await heard.connection.commit()
        await heard.until("committed_transcript_with_timestamps")
        await heard.say(speak("please", HEARD) + silence(200))
        await heard.connection.commit()
        for _ in range(100):
            if len(heard.texts("committed_transcript")) == 2:
                break
            await asyncio.sleep(0.02)
    assert heard.texts("committed_transcript") == ["where is my order", "please"]
    assert "where is" in heard.texts("partial_transcript")
    first = next(data for event, data in heard.events if event == "committed_transcript_with_timestamps")
    assert [(word["text"], word["start"]) for word in first["words"]][:2] == [("where", 0.2), ("is", 0.46)]
    assert account.offences == []
    assert next(account.entries("scribe", "open")).data["query"]["audio_format"] == "ulaw_8000"


async def test_a_commit_of_too_little_audio_is_throttled_and_the_stream_goes_on() -> None:
    world = World()
    account = world.make("el-key", Script(stt=SttScript(tones=HEARD, final_delay_ms=20)))
    async with stream(world) as heard:
        await heard.say(silence(200))
        await heard.connection.commit()
        await heard.until("commit_throttled")
        await heard.say(speak("please", HEARD))
        await heard.connection.commit()
        await heard.until("committed_transcript")
    assert heard.texts("committed_transcript") == ["please"]
    assert [entry.data["what"] for entry in account.offences] == ["a commit under 0.3 s of audio"]


@pytest.mark.parametrize("kind", ERRORS)
async def test_every_documented_error_reaches_the_sdk_by_its_name(kind: str) -> None:
    world = World()
    world.make("el-key", Script(faults=[FaultOrder(protocol="scribe", kind=kind, after_ms=100)]))
    async with stream(world) as heard:
        try:
            await heard.say(silence(300))
        except Exception as closed:  # the SDK goes on sending into a closed socket
            assert "1008" in str(closed) or "closed" in str(closed), closed
        await heard.until(kind)
    assert f"simulated {kind}" in [data["error"] for event, data in heard.events if event == kind]


async def test_an_unknown_key_and_a_model_that_cannot_stream_are_errors_in_the_stream() -> None:
    world = World(anyone=False)
    world.make("el-key")
    async with stream(world, key="wrong") as heard:
        await heard.until("auth_error")
    async with stream(world, model_id="scribe_v2") as heard:
        await heard.until("invalid_request")


async def test_a_stream_without_audio_is_closed_with_1000(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sivo.simulators.scribe_stream.IDLE_MS", 200)
    async with stream(World()) as heard:
        assert (await heard.until("close"))["code"] == 1000
