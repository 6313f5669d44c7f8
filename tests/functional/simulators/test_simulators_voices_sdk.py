"""The SDKs of ElevenLabs and OpenAI against the doubles: they speak, stream, chat, and see errors by their types."""

from __future__ import annotations

import base64
import io
import json
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import openai
import pytest
from elevenlabs import AsyncElevenLabs
from elevenlabs.core.api_error import ApiError

from sivo.simulators import role
from sivo.simulators.script import FaultOrder, LlmScript, Script, SttScript, TtsScript, World

TEXT = "Good morning, how can I help you?"
QUICK = TtsScript(first_byte_ms=1, piece_every_ms=0, voices=["rachel"])


@asynccontextmanager
async def eleven(world: World, key: str = "xi-key") -> AsyncIterator[AsyncElevenLabs]:
    async with role.serving(world) as port:
        yield AsyncElevenLabs(api_key=key, base_url=f"http://127.0.0.1:{port}")


@asynccontextmanager
async def chatter(world: World, key: str = "sk-key") -> AsyncIterator[openai.AsyncOpenAI]:
    async with (
        role.serving(world) as port,
        openai.AsyncOpenAI(api_key=key, base_url=f"http://127.0.0.1:{port}/v1", max_retries=0) as client,
    ):
        yield client


async def test_elevenlabs_sdk_streams_audio_in_the_format_it_asked_for() -> None:
    world = World(anyone=False)
    account = world.make("xi-key", Script(tts=QUICK))
    async with eleven(world) as client:
        chunks = client.text_to_speech.stream(
            "rachel", text=TEXT, model_id="eleven_flash_v2_5", output_format="ulaw_8000", language_code="en"
        )
        ulaw = b"".join([chunk async for chunk in chunks])
        whole = client.text_to_speech.convert("rachel", text=TEXT, model_id="eleven_v3", output_format="pcm_16000")
        pcm = b"".join([chunk async for chunk in whole])
    seconds = len(ulaw) / 8000
    assert 1.5 < seconds < 4.0
    assert abs(len(pcm) / 2 / 16000 - seconds) < 0.05
    assert account.offences == []
    asked = [entry.data for entry in account.entries("elevenlabs_http", "request")]
    assert [body["model_id"] for body in asked] == ["eleven_flash_v2_5", "eleven_v3"]


async def test_elevenlabs_sdk_reads_the_alignment_of_every_piece() -> None:
    world = World(anyone=False)
    world.make("xi-key", Script(tts=QUICK))
    async with eleven(world) as client:
        pieces = client.text_to_speech.stream_with_timestamps("rachel", text=TEXT, output_format="pcm_8000")
        text, clock, audio = "", 0.0, 0
        async for piece in pieces:
            assert piece.alignment is not None
            size = len(base64.b64decode(piece.audio_base_64))
            span = max(piece.alignment.character_end_times_seconds)
            assert abs(span - size / 16000) < 0.01, "the alignment of a piece is as long as its audio"
            text += "".join(piece.alignment.characters)
            clock, audio = clock + span, audio + size
    assert text == TEXT
    assert abs(clock - audio / 16000) < 0.05


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ("invalid_api_key", 401),
        ("quota_exceeded", 401),
        ("too_many_concurrent_requests", 429),
        ("internal_server_error", 500),
    ],
)
async def test_elevenlabs_sdk_sees_documented_errors(fault: str, status: int) -> None:
    world = World(anyone=False)
    world.make("xi-key", Script(tts=QUICK, faults=[FaultOrder(protocol="elevenlabs_http", kind=fault)]))
    async with eleven(world) as client:
        with pytest.raises(ApiError) as refused:
            async for _ in client.text_to_speech.stream(
                "rachel", text=TEXT, output_format="ulaw_8000", request_options={"max_retries": 0}
            ):
                pass
    assert refused.value.status_code == status
    assert refused.value.body["detail"]["status"] == fault


async def test_elevenlabs_sdk_is_told_what_is_wrong_with_its_request() -> None:
    world = World(anyone=False)
    account = world.make("xi-key", Script(tts=QUICK))
    async with eleven(world) as client:
        for voice, more in (
            ("nobody", {}),
            ("rachel", {"model_id": "eleven_v99"}),
            ("rachel", {"model_id": "eleven_multilingual_v2", "language_code": "es"}),
            ("rachel", {"model_id": "eleven_v3", "previous_text": "before"}),
        ):
            with pytest.raises(ApiError):
                async for _ in client.text_to_speech.stream(voice, text=TEXT, output_format="ulaw_8000", **more):
                    pass
    assert len(account.offences) == 4


async def test_openai_sdk_streams_chat_with_usage_and_reasoning_apart() -> None:
    world = World(anyone=False)
    llm = LlmScript(replies=["It is on its way.", {"response": "Bye.", "action": "hangup"}], first_token_ms=1)
    account = world.make("sk-key", Script(llm=llm.model_copy(update={"reasoning": "The user is polite."})))
    messages = [{"role": "user", "content": "Where is my order?"}]
    async with chatter(world) as client:
        stream = await client.chat.completions.create(
            model="m-1", messages=messages, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
        whole = await client.chat.completions.create(model="m-1", messages=messages)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "It is on its way."
    assert chunks[-1].usage is not None and chunks[-1].usage.completion_tokens > 0
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert json.loads(whole.choices[0].message.content or "") == {"response": "Bye.", "action": "hangup"}
    assert account.offences == []


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("invalid_api_key", openai.AuthenticationError),
        ("model_decommissioned", openai.BadRequestError),
        ("model_not_found", openai.NotFoundError),
        ("insufficient_quota", openai.RateLimitError),
        ("rate_limited", openai.RateLimitError),
        ("server_error", openai.InternalServerError),
        ("error", openai.APIError),
    ],
)
async def test_openai_sdk_sees_documented_errors(fault: str, kind: type[Exception]) -> None:
    world = World(anyone=False)
    order = FaultOrder(protocol="openai_chat", kind=fault)
    world.make("sk-key", Script(llm=LlmScript(first_token_ms=1), faults=[order]))
    async with chatter(world) as client:
        with pytest.raises(kind):
            stream = await client.chat.completions.create(
                model="m-1", messages=[{"role": "user", "content": "hi"}], stream=True
            )
            async for _ in stream:
                pass


async def test_openai_sdk_speaks_and_transcribes() -> None:
    world = World(anyone=False)
    script = Script(tts=TtsScript(first_byte_ms=1, piece_every_ms=0), stt=SttScript(utterances=["good morning"]))
    account = world.make("sk-key", script)
    async with chatter(world) as client:
        async with client.audio.speech.with_streaming_response.create(
            model="tts-1", voice="alloy", input=TEXT, response_format="pcm"
        ) as answer:
            pcm = b"".join([chunk async for chunk in answer.iter_bytes()])
        file = io.BytesIO()
        with wave.open(file, "wb") as sound:
            sound.setparams((1, 2, 24_000, 0, "NONE", ""))
            sound.writeframes(pcm)
        file.seek(0)
        file.name = "said.wav"
        heard = await client.audio.transcriptions.create(model="whisper-1", file=file, language="en")
    assert 1.5 < len(pcm) / 48000 < 4.0
    assert heard.text == "good morning"
    assert account.offences == []
