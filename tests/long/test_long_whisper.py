"""Local Whisper with the real faster-whisper and a model of random weights: loading, hearing, dying, threads.

Skipped without ``build/whisper-venv`` (``make whisper-venv``). That anything is *understood* is not shown here: no real
model was at hand; see docs/guide.md.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sivo.speech.local_audio import wav_header

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / "build" / "whisper-venv" / "bin" / "python"
SPOKEN = ROOT / "tests" / "data" / "voice" / "en_order_slt.wav"

pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason="no extra whisper: make whisper-venv")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A speech role that runs on the venv with the extra; its URL and process."""
    home = tmp_path_factory.mktemp("whisper")
    subprocess.run([str(PYTHON), str(Path(__file__).with_name("whisper_model.py")), str(home / "model")], check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        "SIVO_HOME": str(home),
        "SIVO_SPEECH_PORT": str(port),
        "SIVO_SPEECH_WHISPER_MODEL": str(home / "model"),
        "SIVO_SPEECH_WHISPER_THREADS": "1",
        # Whoever asked the network would fail here.
        "HTTPS_PROXY": "http://127.0.0.1:9",
    }
    log = home / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(PYTHON), "-m", "sivo.node.child", "speech"],
            env={**os.environ, **environment},
            stdout=out,
            stderr=out,
            cwd=home,
        )
    deadline = time.monotonic() + 120
    while b"speech serves" not in log.read_bytes():
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.1)
    assert b"local whisper loaded" in log.read_bytes(), log.read_text()[-3000:]
    yield f"http://127.0.0.1:{port}/v1/audio/transcriptions", process
    process.terminate()
    process.wait(20)


async def ask(session: aiohttp.ClientSession, url: str, audio: bytes, **fields: str) -> tuple[int, Any]:
    form = aiohttp.FormData({"model": "whisper-1", **fields})
    form.add_field("file", audio, filename="said.wav", content_type="audio/wav")
    async with session.post(url, data=form) as answer:
        return answer.status, await answer.json()


async def test_an_utterance_is_decoded_by_the_model(place: tuple[str, subprocess.Popen[bytes]]) -> None:
    url, _ = place
    async with aiohttp.ClientSession() as session:
        said = SPOKEN.read_bytes()
        status, body = await ask(session, url, said, response_format="verbose_json", language="en")
        assert status == 200 and isinstance(body["text"], str) and body["duration"] > 1.0
        assert (await ask(session, url, said, response_format="verbose_json", language="en"))[1] == body, "no chance"
        silence = wav_header(8000, 8000) + bytes(16000)
        assert (await ask(session, url, silence, language="es"))[0] == 200, "every language is taken"
        several = await asyncio.gather(*(ask(session, url, said) for _ in range(9)))
        assert {status for status, _ in several} == {200}
        too_many = await asyncio.gather(*(ask(session, url, said) for _ in range(40)))
        assert {status for status, _ in too_many} == {200, 503}, "the queue is bounded"


async def test_a_killed_child_is_replaced_at_the_next_utterance(place: tuple[str, subprocess.Popen[bytes]]) -> None:
    url, process = place
    child = _child(process.pid)
    assert child is not None
    os.kill(child, signal.SIGKILL)
    async with aiohttp.ClientSession() as session:
        answers = [(await ask(session, url, SPOKEN.read_bytes()))[0] for _ in range(3)]
    assert answers[-1] == 200 and _child(process.pid) not in (None, child)


def _child(parent: int) -> int | None:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and b"local_whisper_process" in (entry / "cmdline").read_bytes():
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) == parent:
                return int(entry.name)
    return None
