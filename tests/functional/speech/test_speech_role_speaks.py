"""The local speech role over its real socket: its rules model answers, and real voices speak."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from speech_server import AGENT, Client

from sivo.speech.local_audio import from_pcm16

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
