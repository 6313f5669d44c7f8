"""The local speech role over its real socket, with real recognisers and synthesisers behind it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiohttp import web

from sivo.speech import role
from sivo.speech.local_audio import from_pcm16, read_wav, resample, to_pcm16, wav_header
from sivo.speech.local_speak import Speech
from sivo.speech.local_transcribe import Transcriptions

AGENT = json.loads(files("sivo.demo").joinpath("agent.json").read_text())
PHRASES = "\n".join(phrase for intent in AGENT["intents"] for phrase in intent["phrases"])


class Client:
    """Just enough of the OpenAI protocol, without any of our own code."""

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self.session = session
        self.base = base

    async def transcribe(self, audio: bytes, **fields: str) -> tuple[int, Any]:
        form = aiohttp.FormData()
        form.add_field("file", audio, filename="said.wav", content_type="audio/wav")
        for name, value in {"model": "any", "prompt": PHRASES, **fields}.items():
            form.add_field(name, value)
        async with self.session.post(f"{self.base}/v1/audio/transcriptions", data=form) as answer:
            return answer.status, await answer.json()

    async def post(self, path: str, body: Any) -> tuple[int, Any]:
        async with self.session.post(self.base + path, json=body) as answer:
            return answer.status, await answer.json()

    async def speak(self, text: str, voice: str = "en", **more: Any) -> bytes:
        body = {"model": "any", "input": text, "voice": voice, "response_format": "pcm", **more}
        async with self.session.post(f"{self.base}/v1/audio/speech", json=body) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.read()


@dataclass
class Server:
    """A running speech role in a process of its own."""

    process: subprocess.Popen[bytes]
    port: int

    @property
    def children(self) -> list[int]:
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


_PROGRAM = """
import asyncio, signal, sys
from sivo.base.settings import Settings
from sivo.speech import role

async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await role.run(Settings(speech_port=int(sys.argv[1])), stop)

asyncio.run(main())
"""


def start_server() -> Server:
    """Start the role and wait until it says that it serves."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    reads, writes = os.pipe()
    environment = {**os.environ, "SIVO_READY_FD": str(writes)}
    process = subprocess.Popen([sys.executable, "-c", _PROGRAM, str(port)], env=environment, pass_fds=[writes])
    os.close(writes)
    with os.fdopen(reads) as ready:
        assert ready.readline() == "ready\n"
    return Server(process, port)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    running = start_server()
    yield running
    children = running.children
    running.process.terminate()
    assert running.process.wait(15) == 0
    assert not any(Path(f"/proc/{child}").exists() for child in children)


@pytest.fixture
async def client(server: Server) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as session:
        yield Client(session, f"http://127.0.0.1:{server.port}")


def clip(name: str, before_ms: int = 200, after_ms: int = 300) -> bytes:
    """A demo clip as it reaches a recogniser: between silences, 8 kHz."""
    samples, rate = read_wav(files("sivo.demo").joinpath("clips", f"{name}.wav").read_bytes())
    padded = np.concatenate([np.zeros(rate * before_ms // 1000), samples, np.zeros(rate * after_ms // 1000)])
    return wav_header(rate, len(padded)) + to_pcm16(padded.astype(np.float32))


def wav_of(pcm: bytes, rate: int = 24000) -> bytes:
    return wav_header(rate, len(pcm) // 2) + pcm


# --- transcription ----------------------------------------------------------------------------------------------------


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


# --- chat -------------------------------------------------------------------------------------------------------------

MESSAGES = [
    {"role": "system", "content": "You answer.\nINTENTS_JSON:\n" + json.dumps(AGENT["intents"])},
    {"role": "user", "content": "where is my order"},
]


async def test_a_streamed_answer_says_the_same_as_a_whole_one(client: Client) -> None:
    status, whole = await client.post("/v1/chat/completions", {"model": "m", "messages": MESSAGES})
    content = whole["choices"][0]["message"]["content"]
    assert (status, whole["object"], whole["choices"][0]["finish_reason"]) == (200, "chat.completion", "stop")
    assert json.loads(content)["variables"]["_intent"] == "order_status"
    body = {"model": "m", "messages": MESSAGES, "stream": True, "stream_options": {"include_usage": True}}
    async with client.session.post(f"{client.base}/v1/chat/completions", json=body) as answer:
        assert answer.content_type == "text/event-stream"
        events = [line[6:] for line in (await answer.text()).split("\n\n") if line]
    assert events[-1] == "[DONE]"
    chunks = [json.loads(event) for event in events[:-1]]
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    pieces = [chunk["choices"][0]["delta"].get("content", "") for chunk in chunks[:-1]]
    assert "".join(pieces) == content
    assert sum(1 for piece in pieces if piece) > 20
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert (chunks[-1]["choices"], chunks[-1]["usage"]["total_tokens"] > 0) == ([], True)


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"model": "m"},
        {"model": "m", "messages": []},
        {"model": 5, "messages": MESSAGES},
        {"model": "m", "messages": [{"role": "robot", "content": "x"}]},
        {"model": "m", "messages": [{"role": "user", "content": 5}]},
        {"model": "m", "messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
        {"model": "m", "messages": MESSAGES, "stream": "yes"},
        {"model": "m", "messages": [{"role": "system", "content": "INTENTS_JSON:\nnot json"}]},
    ],
)
async def test_bad_chat_requests_are_refused(client: Client, body: Any) -> None:
    status, answer = await client.post("/v1/chat/completions", body)
    assert status == 400
    assert set(answer["error"]) == {"message", "type", "param", "code"}


# --- speech -----------------------------------------------------------------------------------------------------------

SENTENCES = {
    "en": "Good morning, how can I help you today?",
    "es": "Buenos días, ¿en qué puedo ayudarle hoy?",
    "de": "Guten Morgen, wie kann ich Ihnen heute helfen?",
    "fr": "Bonjour, comment puis-je vous aider aujourd'hui ?",
    "it": "Buongiorno, come posso aiutarla oggi?",
    "pt": "Bom dia, em que posso ajudar hoje?",
}


@pytest.mark.parametrize("language", SENTENCES)
async def test_six_languages_speak(client: Client, language: str) -> None:
    samples = from_pcm16(await client.speak(SENTENCES[language], language))
    assert 1.5 < len(samples) / 24000 < 5.0
    assert np.sqrt((samples**2).mean()) > 500
    assert np.abs(samples).max() < 32767


async def test_voices_sound_different_and_speed_changes_the_length(client: Client) -> None:
    plain, other, fast = [
        await client.speak("Good morning to you", voice, speed=speed)
        for voice, speed in (("en-us", 1.0), ("en-gb+f3", 1.0), ("en", 2.0))
    ]
    assert plain != other
    assert len(fast) < 0.75 * len(plain)
    again = await client.speak("Good morning to you", "en-us")
    assert abs(len(again) - len(plain)) < 0.02 * len(plain)  # neither voice nor speed of the others is left behind


async def test_wav_is_playable_and_arrives_in_pieces(client: Client) -> None:
    body = {"model": "any", "input": SENTENCES["en"] * 10, "voice": "en", "response_format": "wav"}
    async with client.session.post(f"{client.base}/v1/audio/speech", json=body) as answer:
        assert answer.headers["Transfer-Encoding"] == "chunked"
        audio = await answer.read()
    assert audio[:4] == b"RIFF"
    assert int.from_bytes(audio[24:28], "little") == 24000
    assert len(audio) > 10 * 24000 * 2


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"voice": "alloy"}, "voice"),
        ({"voice": "en+nobody"}, "voice"),
        ({"voice": None}, "voice"),
        ({"input": ""}, "input"),
        ({"input": "x" * 4097}, "input"),
        ({"response_format": "mp3"}, "response_format"),
        ({"speed": 9}, "speed"),
    ],
)
async def test_bad_speech_requests_are_refused(client: Client, change: dict[str, Any], param: str) -> None:
    body = {"model": "m", "input": "hello", "voice": "en", **change}
    status, answer = await client.post("/v1/audio/speech", body)
    assert (status, answer["error"]["param"]) == (400, param)
    if change.get("voice"):
        assert "pt-br" in answer["error"]["message"]


async def test_a_listener_who_leaves_does_not_disturb_the_next(client: Client) -> None:
    body = {"model": "m", "input": "One sentence after the other. " * 130, "voice": "en"}
    async with client.session.post(f"{client.base}/v1/audio/speech", json=body) as answer:
        await answer.content.readexactly(1000)
        answer.close()
    assert from_pcm16(await client.speak("Good morning")).any()


# --- the process ------------------------------------------------------------------------------------------------------


async def test_models_and_unknown_paths(client: Client) -> None:
    async with client.session.get(f"{client.base}/v1/models") as answer:
        assert {model["id"] for model in (await answer.json())["data"]} == {
            "pocketsphinx-en-us",
            "sivo-rules",
            "espeak-ng",
        }
    async with client.session.get(f"{client.base}/v1/nothing") as answer:
        assert (answer.status, "error" in await answer.json()) == (404, True)


async def test_killed_children_are_replaced(client: Client, server: Server) -> None:
    before = server.children
    assert len(before) == 3
    for child in before:
        os.kill(child, signal.SIGKILL)
    refused = 0
    for _ in range(3):  # a dead child is noticed by the one request that meets it
        status, answer = await client.transcribe(clip("yes"))
        refused += status == 503
        assert status == 503 or answer == {"text": "yes"}
    assert refused <= 2
    assert await client.transcribe(clip("yes")) == (200, {"text": "yes"})
    status, answer = await client.post("/v1/audio/speech", {"model": "m", "input": "hello", "voice": "xx"})
    assert status == 400
    body = {"model": "m", "input": "Good morning", "voice": "en"}
    async with client.session.post(f"{client.base}/v1/audio/speech", json=body) as first:
        assert first.status in (200, 503)
    assert from_pcm16(await client.speak("Good morning")).any()
    assert not set(before) & set(server.children)


async def test_a_full_queue_is_said_at_once() -> None:
    transcriptions = Transcriptions(workers=1, queue=1)
    runner = web.AppRunner(role.make_app(transcriptions, Speech()))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with aiohttp.ClientSession() as session:
            client = Client(session, f"http://127.0.0.1:{port}")
            answers = await asyncio.gather(*(client.transcribe(clip("order_question")) for _ in range(6)))
        statuses = sorted(status for status, _ in answers)
        assert statuses == [200, 200, 503, 503, 503, 503]
        assert {answer["error"]["code"] for status, answer in answers if status == 503} == {"overloaded"}
    finally:
        await runner.cleanup()
        await transcriptions.pool.stop()


def test_children_end_with_their_parent() -> None:
    running = start_server()
    children = running.children
    assert len(children) == 3
    running.process.kill()
    running.process.wait()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and any(_alive(child) for child in children):
        time.sleep(0.05)
    assert [child for child in children if _alive(child)] == []


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
