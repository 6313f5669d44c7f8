"""Segments cut out of the caller's audio, the phrase cache, and what errors mean."""

from __future__ import annotations

import asyncio

import pytest

from sivo.base.errors import SivoError
from sivo.media.protocol import Stage
from sivo.outbound.failure import OUTBOUND_FAILED, OUTBOUND_TIMEOUT, OUTBOUND_TOO_LARGE
from sivo.outbound.guard import GuardRefused
from sivo.speech.faults import ProviderError, explain
from sivo.speech.http import check_status
from sivo.speech.stt import SegmentStt, SttFailed, SttText
from sivo.speech.tts import PhraseCache, neutral_tone


class Recogniser:
    """Answers with the length of what it got; fails or hangs when told."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.fault: Exception | None = None
        self.hang = False

    async def transcribe(self, pcm16_8k: bytes) -> str:
        self.got.append(pcm16_8k)
        if self.hang:
            await asyncio.sleep(60)
        if self.fault is not None:
            raise self.fault
        return f"{len(pcm16_8k) // 16} ms"


def frame(number: int) -> bytes:
    return number.to_bytes(2, "little") * 160


class Line:
    def __init__(self) -> None:
        self.recogniser = Recogniser()
        self.results: list[SttText | SttFailed] = []
        self.stt = SegmentStt(self.recogniser, self.results.append)
        self.now = 0

    def hear(self, until: int) -> None:
        while self.now < until:
            self.now += 20
            self.stt.audio(self.now, b"\xff" * 160, frame(self.now // 20))


async def test_a_segment_has_its_preroll_and_its_stop() -> None:
    line = Line()
    line.hear(2000)
    line.stt.begin(1, 1960)
    line.hear(3000)
    line.stt.finish(1, 2800)
    await asyncio.sleep(0.01)
    assert line.results == [SttText(1, "1340 ms", True)]
    audio = line.recogniser.got[0]
    assert audio[:2] == frame(84)[:2], "the frame in which onset - 300 ms lies"
    assert audio[-2:] == frame(150)[:2]


async def test_a_segment_may_open_late_with_its_true_start() -> None:
    line = Line()
    line.hear(5000)
    line.stt.begin(1, 3000)
    line.stt.finish(1, 5000)
    await asyncio.sleep(0.01)
    assert line.results == [SttText(1, "2300 ms", True)]


async def test_a_second_try_sends_the_same_audio() -> None:
    line = Line()
    line.hear(500)
    line.stt.begin(1, 400)
    line.hear(1000)
    line.recogniser.fault = ProviderError("refused", "down")
    line.stt.finish(1, 900)
    await asyncio.sleep(0.01)
    assert isinstance(line.results[0], SttFailed)
    assert line.results[0].error.cause == "refused"
    line.hear(1200)
    line.recogniser.fault = None
    line.stt.finish(1, 900)
    await asyncio.sleep(0.01)
    assert isinstance(line.results[1], SttText)
    assert line.recogniser.got[0] == line.recogniser.got[1]


async def test_dropped_and_closed_sessions_say_nothing() -> None:
    line = Line()
    line.recogniser.hang = True
    line.hear(500)
    for number in (1, 2):
        line.stt.begin(number, 400)
        line.stt.finish(number, 500)
    await asyncio.sleep(0.01)
    line.stt.drop(1)
    line.stt.finish(1, 500)
    await line.stt.close()
    assert line.results == []
    assert len(line.recogniser.got) == 2


async def test_an_unexpected_error_of_an_engine_is_a_fault_not_a_lost_task() -> None:
    line = Line()
    line.recogniser.fault = RuntimeError("secret words")
    line.hear(500)
    line.stt.begin(1, 400)
    line.stt.finish(1, 500)
    await asyncio.sleep(0.01)
    (failed,) = line.results
    assert isinstance(failed, SttFailed)
    assert failed.error.cause == "garbage"
    assert "secret" not in failed.error.detail


def test_the_cache_is_bounded_and_keeps_tenants_apart() -> None:
    cache = PhraseCache(max_bytes=4000)
    mine = Stage(protocol="openai", base_url="https://x/v1", model="m", api_key="a", voice="v")
    other = Stage(protocol="openai", base_url="https://x/v1", model="m", api_key="b", voice="v")
    cache.put(mine, "Hello.", bytes(900))
    assert cache.get(mine, "Hello.") == bytes(900)
    assert cache.get(other, "Hello.") is None
    for number in range(4):
        cache.get(mine, "Hello.")
        cache.put(mine, f"phrase {number}", bytes(900))
    assert cache.get(mine, "Hello.") is not None, "used last"
    assert cache.get(mine, "phrase 0") is None
    cache.put(mine, "too long", bytes(1001))
    assert cache.get(mine, "too long") is None


def test_the_neutral_tone_is_short_and_not_loud() -> None:
    tone = neutral_tone()
    assert 400 <= len(tone) // 16 <= 800
    peak = max(abs(int.from_bytes(tone[place : place + 2], "little", signed=True)) for place in range(0, len(tone), 2))
    assert 2000 < peak < 8000


@pytest.mark.parametrize(
    ("error", "streaming", "cause"),
    [
        (TimeoutError(), False, "slow"),
        (SivoError(OUTBOUND_TIMEOUT, "too long"), False, "slow"),
        (SivoError(OUTBOUND_FAILED, "reset"), False, "refused"),
        (SivoError(OUTBOUND_FAILED, "reset"), True, "cut"),
        (SivoError(OUTBOUND_TOO_LARGE, "large"), True, "garbage"),
        (GuardRefused("private"), False, "guard"),
        (KeyError("x"), False, "garbage"),
    ],
)
def test_errors_have_one_of_the_closed_causes(error: Exception, streaming: bool, cause: str) -> None:
    assert explain(error, streaming=streaming).cause == cause


def test_the_servers_message_is_not_passed_on() -> None:
    with pytest.raises(ProviderError) as caught:
        check_status(400, b'{"error": {"message": "you said: my secret is 42", "code": "bad_input"}}')
    assert "42" not in caught.value.detail
    assert "bad_input" in caught.value.detail
