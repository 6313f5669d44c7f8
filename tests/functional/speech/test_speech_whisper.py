"""Local Whisper without the extra: what is missing is said to the operator and to whoever asks; the rest goes on.

The model itself is tried in tests/long, where the extra is installed.
"""

from __future__ import annotations

import importlib.util
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from sivo.base.errors import SivoError
from sivo.speech import role
from sivo.speech.local_audio import wav_header
from sivo.speech.local_speak import Speech
from sivo.speech.local_transcribe import Transcriptions
from sivo.speech.local_whisper import Whisper

SILENCE = wav_header(8000, 8000) + bytes(16000)


@asynccontextmanager
async def asking(whisper: Whisper) -> AsyncIterator[Any]:
    """The role's application over a real socket; gives ``ask(model, **fields)`` -> status, body."""
    transcriptions = Transcriptions(1, whisper=whisper)
    runner = web.AppRunner(role.make_app(transcriptions, Speech()))
    await transcriptions.warm()
    await runner.setup()
    sock = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, sock).start()
    url = f"http://127.0.0.1:{sock.getsockname()[1]}/v1/audio/transcriptions"
    async with aiohttp.ClientSession() as session:

        async def ask(model: str, **fields: str) -> tuple[int, Any]:
            form = aiohttp.FormData({"model": model, **fields})
            form.add_field("file", SILENCE, filename="said.wav", content_type="audio/wav")
            async with session.post(url, data=form) as answer:
                return answer.status, await answer.json()

        try:
            yield ask
        finally:
            await runner.cleanup()
            await transcriptions.stop()


def made(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(b"{}")
    return folder


async def test_a_directory_that_cannot_be_used_is_named_and_pocketsphinx_serves_on(tmp_path: Path) -> None:
    broken = {
        tmp_path / "nowhere": "is no directory",
        made(tmp_path / "empty"): "lacks model.bin, config.json, tokenizer.json",
        made(tmp_path / "half", "model.bin", "config.json"): "lacks tokenizer.json",
    }
    for folder, words in broken.items():
        whisper = Whisper(folder)
        await whisper.warm()
        with pytest.raises(Exception, match=words):
            await whisper.hear(SILENCE[44:], 8000, "es", "")
    async with asking(Whisper(tmp_path / "nowhere")) as ask:
        status, body = await ask("whisper-1", language="es")
        assert (status, body["error"]["code"]) == (503, "model_unavailable")
        assert "SIVO_SPEECH_WHISPER_MODEL is no directory" in body["error"]["message"]
        assert await ask("pocketsphinx-en-us") == (200, {"text": ""})


@pytest.mark.skipif(
    importlib.util.find_spec("faster_whisper") is not None, reason="the extra whisper is installed: nothing is missing"
)
async def test_without_the_extra_the_operator_is_told_how_to_get_it(tmp_path: Path) -> None:
    whisper = Whisper(made(tmp_path / "model", "model.bin", "config.json", "tokenizer.json"))
    await whisper.warm()
    with pytest.raises(Exception, match=r"the extra is missing; install it with: pip install 'sivo\[whisper\]'"):
        await whisper.hear(SILENCE[44:], 8000, "es", "")


async def test_without_a_directory_nothing_changes() -> None:
    async with asking(Whisper(None)) as ask:
        assert await ask("whisper-1") == (200, {"text": ""})
        status, body = await ask("whisper-1", language="es")
        assert (status, body["error"]["code"]) == (400, "unsupported_language"), "pocketsphinx knows English only"


async def test_a_process_that_dies_while_it_loads_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sivo.speech.local_whisper.MODULE", "sivo.speech.no_such_process")
    whisper = Whisper(Path("/"))
    await whisper.warm()
    with pytest.raises(Exception, match="could not be loaded") as failed:
        await whisper.hear(SILENCE[44:], 8000, "", "")
    assert not isinstance(failed.value, SivoError), "it is the client's to show: an error of the wire protocol"
