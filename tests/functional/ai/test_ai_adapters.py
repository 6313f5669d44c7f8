"""The OpenAI-protocol adapters against a strict server on loopback, through the guarded client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing

import numpy as np
import pytest
from openai_server import KEY, Script, serve, sse

from sivo.ai.llm import Usage
from sivo.ai.openai_llm import OpenAiChat
from sivo.media.protocol import Stage
from sivo.outbound.client import GuardedClient
from sivo.speech.faults import ProviderError
from sivo.speech.openai_stt import OpenAiTranscriber
from sivo.speech.openai_tts import OpenAiSynthesizer
from support.ports import free_port

PORT = free_port()
MESSAGES = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]


@pytest.fixture
async def server() -> AsyncIterator[Script]:
    async with serve(PORT) as script:
        yield script


@pytest.fixture
async def client() -> AsyncIterator[GuardedClient]:
    made = GuardedClient(f"127.0.0.0/8:{PORT}", True)
    yield made
    await made.close()


def stage(script: Script, **changes: str) -> Stage:
    return Stage(**({"protocol": "openai", "base_url": script.url, "model": "m-1", "api_key": KEY} | changes))


async def collect(chat: OpenAiChat, usage: Usage | None = None) -> str:
    return "".join([piece async for piece in chat.stream(MESSAGES, usage or Usage())])


# --- chat -----------------------------------------------------------------------------------------------------------


async def test_a_liberal_stream_is_read(server: Script, client: GuardedClient) -> None:
    server.chat = [
        b": ping\r\n\r\n",
        b'data: {"choices":[{"delta":{"role":"assistant"}}]}\r\n\r\n',
        b'data: {"choices":[{"delta":{"content":null,"reasoning":"never spoken"}}]}\r\n\r\n',
        b'data: {"choices":[{"delta":{"cont',
        b'ent":"Hola, "}}]}\r\n\r\ndata: {"choices":[{"delta":{"content":"\xc3',
        b'\xa1nimo"}}]}\n\n',
        b"event: noise\nid: 7\n",
        b'data:{"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n',
        b'data: {"choices":[],"x_groq":{"usage":{"prompt_tokens":11,"completion_tokens":3}}}\n\n',
        b"data: [DONE]\n\n",
    ]
    usage = Usage()
    assert await collect(OpenAiChat(client, stage(server)), usage) == "Hola, ánimo"
    assert (usage.prompt_tokens, usage.completion_tokens) == (11, 3)
    (_, body) = server.seen[0]
    assert (body["model"], body["messages"]) == ("m-1", MESSAGES)


async def test_an_answer_in_one_piece_and_one_in_parts_are_read(server: Script, client: GuardedClient) -> None:
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "no"}]}, {"type": "text", "text": "Hola."}]
    event = {"choices": [{"delta": {"content": parts}, "finish_reason": "stop"}]}
    server.chat = [f"data: {json.dumps(event)}\n\n".encode()]
    assert await collect(OpenAiChat(client, stage(server))) == "Hola."


@pytest.mark.parametrize(
    "pieces",
    [
        ["<think>never</think>\n\nHola."],
        ["  <thi", "nk>ne", "ver</th", "ink> ", "Hola."],
        ["Ho", "la<thinking>never", "</thinking>", "."],
        ["<reasoning>never</reasoning><think>never</think>Hola."],
    ],
)
async def test_reasoning_inside_the_answer_is_never_spoken(
    server: Script, client: GuardedClient, pieces: list[str]
) -> None:
    server.chat = sse(*pieces)
    assert await collect(OpenAiChat(client, stage(server))) == "Hola."


async def test_signs_that_only_look_like_reasoning_are_spoken(server: Script, client: GuardedClient) -> None:
    server.chat = sse("a <", "b> and 3 <", " 4 and <thi", "s>")
    assert await collect(OpenAiChat(client, stage(server))) == "a <b> and 3 < 4 and <this>"


async def test_text_comes_while_it_streams(server: Script, client: GuardedClient) -> None:
    server.chat = [*sse("first", done=False), 0.4, *sse(" second")]
    loop = asyncio.get_running_loop()
    times = []
    async for _ in OpenAiChat(client, stage(server)).stream(MESSAGES, Usage()):
        times.append(loop.time())
    assert times[1] - times[0] > 0.3


async def test_a_stream_without_done_is_complete_by_its_finish_reason(server: Script, client: GuardedClient) -> None:
    server.chat = [*sse("yes", done=False), b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n']
    assert await collect(OpenAiChat(client, stage(server))) == "yes"


async def test_inline_reasoning_is_taken_out(server: Script, client: GuardedClient) -> None:
    server.chat = sse("<thi", "nk>The user wants", " x</th", "ink>\n", "Sure.")
    assert await collect(OpenAiChat(client, stage(server))) == "Sure."


async def test_a_server_that_knows_no_stream_options_is_asked_without(server: Script, client: GuardedClient) -> None:
    server.refuse_stream_options = True
    server.chat = sse("fine")
    chat = OpenAiChat(client, stage(server))
    assert await collect(chat) == "fine"
    assert await collect(chat) == "fine"
    assert ["stream_options" in body for _, body in server.seen] == [True, False, False]


@pytest.mark.parametrize(
    ("pieces", "cause"),
    [
        ([*sse("half", done=False)], "cut"),
        ([*sse("half", done=False), None], "cut"),
        ([*sse("half", done=False), b'data: {"error":{"message":"boom","code":"server_error"}}\n\n'], "cut"),
        ([*sse("half", done=False), b"data: {broken\n\n"], "garbage"),
        ([*sse("half", done=False), b"data: 7\n\n"], "garbage"),
        (
            [*sse("half", done=False), b'data: {"choices":[{"delta":{},"finish_reason":"content_filter"}]}\n\n'],
            "rejected",
        ),
        ([], "cut"),
    ],
)
async def test_a_stream_that_breaks(
    server: Script, client: GuardedClient, pieces: list[bytes | float | None], cause: str
) -> None:
    server.chat = pieces
    got = []
    with pytest.raises(ProviderError) as caught:
        async for piece in OpenAiChat(client, stage(server)).stream(MESSAGES, Usage()):
            got.append(piece)
    assert caught.value.cause == cause
    assert got == (["half"] if pieces else [])


@pytest.mark.parametrize(
    ("status", "error", "cause", "words"),
    [
        (401, {"code": "invalid_api_key"}, "rejected", "credential"),
        (429, {"code": "rate_limit_exceeded", "message": f"key {KEY}"}, "rejected", "rate limit exceeded"),
        (500, {"type": "server_error"}, "refused", "HTTP 500"),
        (404, {"code": "model_not_found"}, "rejected", "model_not_found"),
        (400, {"code": "model_decommissioned"}, "rejected", "gpt-oss-120b"),
        (302, {}, "rejected", "redirect"),
    ],
)
async def test_error_statuses_have_names(
    server: Script, client: GuardedClient, status: int, error: dict[str, str], cause: str, words: str
) -> None:
    server.chat_status, server.chat_error = status, error
    with pytest.raises(ProviderError) as caught:
        await collect(OpenAiChat(client, stage(server, model="llama-3.1-70b-versatile")))
    assert caught.value.cause == cause
    assert words in caught.value.detail
    assert KEY not in caught.value.detail


async def test_first_and_next_token_have_their_limits(server: Script, client: GuardedClient) -> None:
    server.chat = [5.0]
    with pytest.raises(ProviderError) as caught:
        await collect(OpenAiChat(client, stage(server), first_token_s=0.2))
    assert caught.value.cause == "slow"
    server.chat = [b": still here\n\n", 0.15, b": still here\n\n", 0.15, *sse("late")]
    with pytest.raises(ProviderError) as caught:
        await collect(OpenAiChat(client, stage(server), first_token_s=0.2))
    assert caught.value.cause == "slow", "comments are no tokens"
    server.chat = [*sse("one", done=False), 5.0]
    with pytest.raises(ProviderError) as caught:
        await collect(OpenAiChat(client, stage(server), next_token_s=0.2))
    assert caught.value.cause == "slow"


async def test_leaving_the_stream_closes_it_at_the_provider(server: Script, client: GuardedClient) -> None:
    server.chat = [*sse("one", done=False), *([0.05, b": ping\n\n"] * 60)]
    async with aclosing(OpenAiChat(client, stage(server)).stream(MESSAGES, Usage())) as pieces:
        async for _ in pieces:
            break
    await asyncio.wait_for(server.closed.wait(), 2)


async def test_nobody_there_and_forbidden_places(server: Script, client: GuardedClient) -> None:
    with pytest.raises(ProviderError) as caught:
        await collect(OpenAiChat(client, stage(server, base_url=server.url.replace(str(PORT), str(PORT + 1)))))
    assert caught.value.cause == "guard", "only the allow-listed port"
    other = GuardedClient(f"127.0.0.0/8:{PORT + 1}", True)
    with pytest.raises(ProviderError) as caught:
        await collect(OpenAiChat(other, stage(server, base_url=server.url.replace(str(PORT), str(PORT + 1)))))
    assert caught.value.cause == "refused"
    await other.close()
    assert server.seen == []


# --- transcription --------------------------------------------------------------------------------------------------


async def test_a_segment_is_posted_as_wav_with_a_tail_of_silence(server: Script, client: GuardedClient) -> None:
    samples = 8000 * np.sin(2 * np.pi * 400 * np.arange(8000) / 8000)
    transcriber = OpenAiTranscriber(client, stage(server, language="es-ES"), ["dónde está mi pedido", "sí"])
    assert await transcriber.transcribe(samples.astype("<i2").tobytes()) == "hello there"
    (_, seen) = server.seen[0]
    assert seen["shape"] == (1, 2, 16_000)
    assert (seen["model"], seen["language"]) == ("m-1", "es")
    assert seen["prompt"].split("\n") == ["dónde está mi pedido", "sí"] or seen["prompt"].split("\r\n") == [
        "dónde está mi pedido",
        "sí",
    ]
    audio = np.frombuffer(seen["pcm"], "<i2").astype(float)
    assert len(audio) == 16_000 + 8_000
    assert np.abs(audio[-7_900:]).max() == 0
    spectrum = np.abs(np.fft.rfft(audio[:16_000]))
    assert abs(int(spectrum.argmax()) - 400) <= 1


@pytest.mark.parametrize(
    ("status", "body", "cause"),
    [(200, b"<html>", "garbage"), (200, b'{"text": 7}', "garbage"), (401, b"", "rejected"), (503, b"", "refused")],
)
async def test_transcription_fails(server: Script, client: GuardedClient, status: int, body: bytes, cause: str) -> None:
    server.stt_status, server.stt_body = status, body
    with pytest.raises(ProviderError) as caught:
        await OpenAiTranscriber(client, stage(server)).transcribe(bytes(3200))
    assert caught.value.cause == cause


# --- synthesis ------------------------------------------------------------------------------------------------------


async def test_synthesis_comes_in_pieces_at_8_khz(server: Script, client: GuardedClient) -> None:
    server.tts_ms = 1000
    voice = OpenAiSynthesizer(client, stage(server, voice="alloy"))
    pieces = [piece async for piece in voice.speak("Hello.")]
    audio = np.frombuffer(b"".join(pieces), "<i2").astype(float)
    assert len(audio) == 8000
    assert int(np.abs(np.fft.rfft(audio)).argmax()) == 400
    assert server.seen[0][1] == {"model": "m-1", "input": "Hello.", "voice": "alloy", "response_format": "pcm"}


async def test_synthesis_fails(server: Script, client: GuardedClient) -> None:
    voice = OpenAiSynthesizer(client, stage(server, voice="nobody"))
    server.tts_status = 404
    with pytest.raises(ProviderError) as caught:
        [piece async for piece in voice.speak("Hello.")]
    assert caught.value.cause == "rejected"
    server.tts_status, server.tts_cut_after = 200, 9000
    got = bytearray()
    with pytest.raises(ProviderError) as caught:
        async for piece in voice.speak("Hello."):
            got += piece
    assert caught.value.cause == "cut"
    assert len(got) > 0
