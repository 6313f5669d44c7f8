"""What the three ElevenLabs endpoints for speech share: models, formats, error bodies, audio with its alignment.

Source: elevenlabs.io/docs (models, text-to-speech, errors).
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from aiohttp import web

from sivo.base import logs
from sivo.base.errors import SivoError
from sivo.simulators.script import Account
from sivo.simulators.voice import VOICE, Spoken

#: Model -> (versions 3 and later are for dialogue and HTTP only, takes ``language_code``).
MODELS = {
    "eleven_multilingual_v2": (False, False),
    "eleven_monolingual_v1": (False, False),
    "eleven_turbo_v2": (False, False),
    "eleven_turbo_v2_5": (False, True),
    "eleven_flash_v2": (False, False),
    "eleven_flash_v2_5": (False, True),
    "eleven_v3": (True, True),
    "eleven_v3_conversational": (True, True),
}
#: ``output_format`` -> (kind, sample rate).
FORMATS = {
    "ulaw_8000": ("ulaw", 8_000),
    "alaw_8000": ("alaw", 8_000),
    "pcm_8000": ("pcm", 8_000),
    "pcm_16000": ("pcm", 16_000),
    "pcm_22050": ("pcm", 22_050),
    "pcm_24000": ("pcm", 24_000),
    "pcm_44100": ("pcm", 44_100),
}
PIECE_MS = 200
#: Without espeak-ng (the optional extra ``offline``) every text is a tone of this pitch.
_STAND_IN_HZ = 440

_log = logs.get("simulators")


class RefusedError(Exception):
    """An answer that is no audio: HTTP status, name and text of the error."""

    def __init__(self, status: int, name: str, message: str) -> None:
        super().__init__(message)
        self.status, self.name, self.message = status, name, message

    def response(self) -> web.Response:
        """As ElevenLabs puts it."""
        return web.json_response({"detail": {"status": self.name, "message": self.message}}, status=self.status)


#: Faults by name: what every endpoint answers before any audio.
REFUSALS = {
    "invalid_api_key": (401, "Invalid API key"),
    "quota_exceeded": (401, "This request exceeds your quota."),
    "missing_permissions": (401, "The API key you used is missing the permission text_to_speech."),
    "too_many_concurrent_requests": (429, "Too many concurrent requests for your plan."),
    "system_busy": (429, "The system is experiencing heavy traffic, please try again."),
    "internal_server_error": (500, "Something went wrong."),
    "forbidden": (403, "Forbidden"),
}


def account_of(request: web.Request, find: Any) -> Account:
    """By ``xi-api-key``; a key in the query is refused as the service does."""
    account: Account | None = find(request.headers.get("xi-api-key", ""))
    if account is None:
        raise RefusedError(401, "invalid_api_key", "Invalid API key")
    return account


def check_voice(account: Account, voice: str) -> None:
    """A voice of the account."""
    known = account.script.tts.voices
    if not voice or (known and voice not in known):
        raise RefusedError(404, "voice_not_found", f"A voice with the voice_id {voice} was not found.")


def check_model(account: Account, model: Any, language: str | None) -> None:
    """A model that is served, and a language only where the model takes one."""
    if not isinstance(model, str) or model not in (account.script.tts.models or MODELS):
        raise RefusedError(400, "model_not_found", f"A model with the model_id {model} does not exist.")
    if language is not None and not MODELS.get(model, (False, True))[1]:
        raise RefusedError(400, "unsupported_language", f"Model {model} does not support language_code.")


def format_of(name: str) -> tuple[str, int]:
    """Kind and rate."""
    if name not in FORMATS:
        raise RefusedError(400, "invalid_output_format", f"Output format {name} is not valid.")
    return FORMATS[name]


async def spoken(request: web.Request, account: Account, text: str, rate: int) -> Spoken:
    """The audio of a text for this account."""
    script = account.script.tts
    hertz = script.tones.get(text.strip())
    if hertz is not None:
        return _tone(text, hertz, rate)
    try:
        return await request.app[VOICE].speak(text.strip(), script.spoken, rate)
    except SivoError:
        _log.warning("espeak-ng does not run, a tone stands in for the voice; install the extra: sivo[offline]")
        return _tone(text, _STAND_IN_HZ, rate)


def _tone(text: str, hertz: int, rate: int) -> Spoken:
    plain = text.strip()
    each = min(60, 1000 // max(1, len(plain)))
    time = np.arange(rate * each * len(plain) // 1000) / rate
    edge = np.minimum(1.0, np.minimum(time, time[::-1]) / 0.005)
    pcm = (9000 * edge * np.sin(2 * np.pi * hertz * time)).astype("<i2").tobytes()
    return Spoken(plain, pcm, rate, tuple(each * n for n in range(len(plain))), (each,) * len(plain))


@dataclass(frozen=True, slots=True)
class Piece:
    """Up to 200 ms of audio and the characters that begin in it; their times restart at zero."""

    audio: bytes
    characters: list[str]
    starts_ms: list[int]
    durations_ms: list[int]

    @property
    def base64(self) -> str:
        """The audio as it goes into JSON."""
        return base64.b64encode(self.audio).decode()


def pieces(voice: Spoken, kind: str) -> Iterator[Piece]:
    """Cut at the start of a character, so that the alignment of each piece is as long as its audio."""
    whole = voice.encoded(kind)
    width = 2 if kind == "pcm" else 1
    total = round(voice.ms)
    start = place = 0
    while start < total or place < len(voice.text):
        following = place
        while following < len(voice.text) and voice.starts_ms[following] < start + PIECE_MS:
            following += 1
        end = voice.starts_ms[following] if following < len(voice.text) else total
        starts = [max(0, at - start) for at in voice.starts_ms[place:following]]
        lengths = list(voice.durations_ms[place:following])
        audio = whole[start * voice.rate // 1000 * width : end * voice.rate // 1000 * width]
        if following == len(voice.text):
            audio = whole[start * voice.rate // 1000 * width :]
        yield Piece(audio, list(voice.text[place:following]), starts, lengths)
        start, place = end, following
        if following == len(voice.text):
            return
