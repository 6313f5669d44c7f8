"""The local speech role over its real socket: what a real recogniser understands, and what it leaves alone."""

from __future__ import annotations

import asyncio
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from speech_server import Client, clip, wav_of

from sivo.speech.local_audio import read_wav, resample, to_pcm16, wav_header


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("order_question", "i would like to check the status of my last order"),
        ("interruption", "excuse me when will it arrive"),
        ("yes", "yes"),
        ("goodbye", "no thank you goodbye"),
        ("transfer", "i want to speak to a person"),
    ],
)
async def test_the_demo_clips_are_understood(client: Client, name: str, text: str) -> None:
    assert await client.transcribe(clip(name)) == (200, {"text": text})


async def test_silence_is_no_text(client: Client) -> None:
    quiet = np.random.default_rng(1).normal(0, 3, 16000).astype(np.float32)
    assert await client.transcribe(wav_of(to_pcm16(quiet), 8000)) == (200, {"text": ""})
    assert await client.transcribe(wav_of(b"", 8000)) == (200, {"text": ""})


@pytest.mark.parametrize("sound", ["tone", "noise", "click"])
async def test_noises_are_not_forced_into_a_phrase(client: Client, sound: str) -> None:
    rate, time_ = 8000, np.arange(8000) / 8000
    samples = {
        "tone": 6000 * np.sin(2 * np.pi * 440 * time_),
        "noise": np.random.default_rng(2).normal(0, 3000, 8000),
        "click": np.where((np.arange(8000) // 80) % 50 == 0, 8000.0, 0.0),
    }[sound]
    _, answer = await client.transcribe(
        wav_of(to_pcm16(samples.astype(np.float32)), rate), response_format="verbose_json"
    )
    assert answer["text"] == "", answer


@pytest.mark.parametrize(
    "text",
    [
        "my cat likes to sleep on the kitchen table",
        "seven elephants danced around the old red barn",
        "la casa es muy bonita y grande",
    ],
)
async def test_other_speech_is_rejected(client: Client, tmp_path: Path, text: str) -> None:
    said = tmp_path / "said.wav"
    subprocess.run(["flite", "-voice", "slt", "-t", text, "-o", str(said)], check=True)
    samples, rate = read_wav(said.read_bytes())
    narrow = resample(samples, rate, 8000)
    status, answer = await client.transcribe(wav_of(to_pcm16(narrow), 8000), response_format="verbose_json")
    assert (status, answer["text"]) == (200, ""), answer


async def test_the_phrases_decide_what_is_heard(client: Client) -> None:
    _, other = await client.transcribe(clip("transfer"), prompt="open the garage door\nclose the window")
    assert "speak to a person" not in other["text"]


async def test_a_phrase_that_cannot_be_pronounced_is_named(client: Client) -> None:
    _, answer = await client.transcribe(clip("yes"), prompt="yes\nring Qwertzuiop", response_format="verbose_json")
    assert (answer["text"], answer["dropped_phrases"]) == ("yes", ["ring Qwertzuiop"])


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"language": "es"}, "unsupported_language"),
        ({"language": "de-AT"}, "unsupported_language"),
        ({"response_format": "srt"}, "invalid_value"),
        ({"model": ""}, "missing_required_parameter"),
    ],
)
async def test_what_it_cannot_do_is_said(client: Client, fields: dict[str, str], code: str) -> None:
    status, answer = await client.transcribe(clip("yes"), **fields)
    assert (status, answer["error"]["code"]) == (400, code)
    assert answer["error"]["type"] == "invalid_request_error"


async def test_english_of_any_kind_is_taken(client: Client) -> None:
    for language in ("en", "en-US", "EN-gb"):
        assert (await client.transcribe(clip("yes"), language=language))[1] == {"text": "yes"}


async def test_bad_audio_is_refused(client: Client) -> None:
    for audio in (b"", b"not audio", wav_header(96000, 4) + bytes(8), wav_of(bytes(2 * 8000 * 61), 8000)):
        status, answer = await client.transcribe(audio)
        assert (status, answer["error"]["param"]) == (400, "file")
    status, answer = await client.post("/v1/audio/transcriptions", {"model": "x"})
    assert (status, answer["error"]["code"]) == (400, "invalid_content_type")


async def test_the_loop_answers_others_while_speech_is_recognised(client: Client) -> None:
    busy = [asyncio.create_task(client.transcribe(clip("order_question"))) for _ in range(4)]
    slowest = 0.0
    while not all(task.done() for task in busy):
        started = time.monotonic()
        async with client.session.get(client.base + "/healthz") as answer:
            assert answer.status == 200
        slowest = max(slowest, time.monotonic() - started)
        await asyncio.sleep(0.01)
    assert {(await task)[1]["text"] for task in busy} == {"i would like to check the status of my last order"}
    assert slowest < 0.3
