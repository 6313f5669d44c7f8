"""Real audio for the doubles: espeak-ng in its own process, with the true time of every character.

espeak-ng says where in the audio each word begins; letters are spread evenly within their word.
"""

from __future__ import annotations

import audioop
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import pairwise

from aiohttp import web

from sivo.speech.local_child import Pool
from sivo.speech.resample import resample

_MODULE = "sivo.speech.espeak_process"
_SOURCE_HZ = 24_000
_WITHIN_S = 10.0
_TAG = re.compile(r"\[[^\]\n]{1,40}\]")


@dataclass(frozen=True, slots=True)
class Spoken:
    """A text as audio (PCM16, ``rate`` Hz) with start and length of every character in ms."""

    text: str
    pcm16: bytes
    rate: int
    starts_ms: tuple[int, ...]
    durations_ms: tuple[int, ...]

    @property
    def ms(self) -> float:
        """How long it is."""
        return len(self.pcm16) / 2 / self.rate * 1000

    def encoded(self, shape: str) -> bytes:
        """As ``ulaw``, ``alaw`` or ``pcm``."""
        if shape == "pcm":
            return self.pcm16
        return audioop.lin2ulaw(self.pcm16, 2) if shape == "ulaw" else audioop.lin2alaw(self.pcm16, 2)


class Voice:
    """The synthesiser of one simulator process; started when it is first needed."""

    def __init__(self) -> None:
        self._pool = Pool(_MODULE, 1, 256)
        self._made: dict[tuple[str, str, int], Spoken] = {}

    async def speak(self, text: str, language: str, rate: int) -> Spoken:
        """``text`` in a language, at a sample rate. Audio tags are performed as silence of no length."""
        key = (text, language, rate)
        if key not in self._made:
            if len(self._made) > 500:
                self._made.clear()
            self._made[key] = await self._make(text, language, rate)
        return self._made[key]

    async def _make(self, text: str, language: str, rate: int) -> Spoken:
        plain = _TAG.sub(lambda tag: " " * len(tag.group()), text)
        pcm, words = bytearray(), []
        job = {"text": plain, "voice": language, "speed": 1.0, "words": True}
        async with self._pool.lend() as child:
            async for answer in child.ask(job, within=_WITHIN_S):
                pcm += answer.get("pcm", b"")
                words += answer.get("words", [])
        audio = resample(bytes(pcm), _SOURCE_HZ, rate)
        starts = _spread(plain, [(int(place), float(ms)) for place, ms in words], len(audio) / 2 / rate * 1000)
        ends = [*starts[1:], round(len(audio) / 2 / rate * 1000)]
        return Spoken(text, audio, rate, tuple(starts), tuple(max(0, e - s) for s, e in zip(starts, ends, strict=True)))

    async def close(self) -> None:
        """End the process."""
        await self._pool.stop()


def _spread(text: str, words: list[tuple[int, float]], total_ms: float) -> list[int]:
    """The start of every character. ``words``: (place in the text, ms at which it begins)."""
    times = {0: 0.0} | {place: min(ms, total_ms) for place, ms in words if place < len(text)} | {len(text): total_ms}
    anchors = sorted(times)
    starts: list[int] = []
    for place, following in pairwise(anchors):
        step = (times[following] - times[place]) / max(1, following - place)
        starts += [round(times[place] + step * index) for index in range(following - place)]
    return starts


VOICE: web.AppKey[Voice] = web.AppKey("voice", Voice)


async def one_voice(app: web.Application) -> AsyncIterator[None]:
    """Cleanup context of an application (``app.cleanup_ctx``): gives it its voice."""
    app[VOICE] = Voice()
    yield
    await app[VOICE].close()
