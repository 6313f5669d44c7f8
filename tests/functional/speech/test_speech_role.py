"""The local speech role as a process: its children live, die and are replaced, and its queue has an end."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import aiohttp
from aiohttp import web
from speech_server import Client, Server, clip, start_server

from sivo.speech import role
from sivo.speech.local_audio import from_pcm16
from sivo.speech.local_speak import Speech
from sivo.speech.local_transcribe import Transcriptions


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
