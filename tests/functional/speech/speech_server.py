"""The local speech role as a process of its own, and a client of it that shares none of its code."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

from sivo.speech.local_audio import read_wav, to_pcm16, wav_header

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


def clip(name: str, before_ms: int = 200, after_ms: int = 300) -> bytes:
    """A demo clip as it reaches a recogniser: between silences, 8 kHz."""
    samples, rate = read_wav(files("sivo.demo").joinpath("clips", f"{name}.wav").read_bytes())
    padded = np.concatenate([np.zeros(rate * before_ms // 1000), samples, np.zeros(rate * after_ms // 1000)])
    return wav_header(rate, len(padded)) + to_pcm16(padded.astype(np.float32))


def wav_of(pcm: bytes, rate: int = 24000) -> bytes:
    return wav_header(rate, len(pcm) // 2) + pcm
