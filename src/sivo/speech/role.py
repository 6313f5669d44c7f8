"""The local speech role: STT, LLM and TTS for a machine without any account, behind the OpenAI wire protocol.

It listens on loopback only. Local and vendor providers so share one code path; this role is what the value ``local`` of
an engine points to.
"""

from __future__ import annotations

import asyncio
import time

from aiohttp import web

from sivo.base import logs
from sivo.base.settings import Settings
from sivo.monitoring.book import Book
from sivo.monitoring.door import open_door
from sivo.node import ready
from sivo.speech import local_chat, local_speak, local_transcribe
from sivo.speech.local_protocol import errors_as_json
from sivo.speech.local_speak import Speech
from sivo.speech.local_transcribe import Transcriptions
from sivo.speech.local_whisper import Whisper
from sivo.speech.measured import measured

_log = logs.get("speech")


def make_app(transcriptions: Transcriptions, speech: Speech, book: Book | None = None) -> web.Application:
    """The role's HTTP application; ``book`` counts its requests."""
    app = web.Application(
        middlewares=[measured(book or Book("speech")), errors_as_json], client_max_size=local_transcribe.MAX_UPLOAD
    )
    app.router.add_post("/v1/audio/transcriptions", transcriptions.handle)
    app.router.add_post("/v1/audio/speech", speech.handle)
    app.router.add_post("/v1/chat/completions", local_chat.completions)
    app.router.add_get("/v1/models", _models)
    app.router.add_get("/healthz", _healthz)
    return app


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Serve on 127.0.0.1:``speech_port`` until ``stop`` is set, then end the child processes."""
    whisper = Whisper(settings.speech_whisper_model, settings.speech_whisper_threads)
    transcriptions, speech = Transcriptions(whisper=whisper), Speech()
    book = Book("speech")
    runner = web.AppRunner(make_app(transcriptions, speech, book), access_log=None, shutdown_timeout=1.0)
    try:
        await asyncio.gather(transcriptions.warm(), speech.warm())
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", settings.speech_port).start()
        _log.info("speech serves", port=settings.speech_port)
        async with open_door(settings, "speech", book, {}):
            ready.announce()
            await stop.wait()
    finally:
        await runner.cleanup()
        await asyncio.gather(transcriptions.stop(), speech.pool.stop())


async def _models(_request: web.Request) -> web.Response:
    names = (local_transcribe.MODEL, local_chat.MODEL, local_speak.MODEL)
    started = int(time.time())
    return web.json_response(
        {
            "object": "list",
            "data": [{"id": name, "object": "model", "created": started, "owned_by": "sivo"} for name in names],
        }
    )


async def _healthz(_request: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})
