"""Streaming speech-to-text over real sockets, through the guarded client, against the simulators with their faults."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from sivo.media.protocol import Stage
from sivo.outbound.client import GuardedClient
from sivo.simulators import role
from sivo.simulators.script import Account, FaultOrder, Script, SttScript, World
from sivo.speech.engines import open_stt
from sivo.speech.stt import SttFailed, SttReady, SttResult, SttSession, SttText, SttTrouble
from support.tones import silence, speak, table, ulaw_frames

WORDS = "where is my order please"
HEARD = table(WORDS)
ENGINES = {"deepgram": ("deepgram", "nova-3"), "elevenlabs": ("scribe", "scribe_v2_realtime")}


@dataclass
class Line:
    """A session and what it said."""

    account: Account
    port: int
    results: list[SttResult] = field(default_factory=list)
    session: SttSession = None  # type: ignore[assignment]
    call_ms: int = 0

    async def play(self, pcm16: bytes) -> None:
        """Ten times as fast as a phone would."""
        for frame in ulaw_frames(pcm16):
            self.call_ms += 20
            self.session.audio(self.call_ms, frame, b"")
            await asyncio.sleep(0.002)

    async def say(self, words: str, segment: int) -> None:
        """One voice."""
        self.session.begin(segment, self.call_ms)
        await self.play(speak(words, HEARD) + silence(140))
        self.session.finish(segment, self.call_ms - 200)

    async def until(self, kind: type[SttResult], count: int = 1, timeout: float = 6.0) -> list[SttResult]:
        """Wait for results; silence goes on meanwhile. Interims do not count."""
        end = asyncio.get_running_loop().time() + timeout
        while asyncio.get_running_loop().time() < end:
            found = [one for one in self.results if isinstance(one, kind) and getattr(one, "final", True)]
            if len(found) >= count:
                return found
            await self.play(silence(20))
            await asyncio.sleep(0.02)
        raise AssertionError(f"no {kind.__name__}: {self.results}")

    def finals(self) -> list[tuple[int | None, str]]:
        """Final texts."""
        return [(one.segment, one.text) for one in self.results if isinstance(one, SttText) and one.final]


@asynccontextmanager
async def line(engine: str, *faults: FaultOrder, allow: bool = True, **stage: str) -> AsyncIterator[Line]:
    world = World(anyone=False)
    script = Script(stt=SttScript(tones=HEARD, final_delay_ms=50, partial_every_ms=100), faults=list(faults))
    account = world.make("key", script)
    async with role.serving(world) as port:
        http = GuardedClient(f"127.0.0.1:{port}" if allow else "", allow_http=True)
        made = Line(account, port)
        _, model = ENGINES[engine]
        values = {"model": model, "api_key": "key", "language": "en", "base_url": f"http://127.0.0.1:{port}"} | stage
        made.session = open_stt(http, Stage(protocol=engine, **values), made.results.append, patient=False)  # type: ignore[arg-type]
        try:
            yield made
        finally:
            await made.session.close()
            await http.close()


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_voice_becomes_text(engine: str) -> None:
    async with line(engine) as one:
        await one.until(SttReady)
        await one.say("where is my order", 1)
        await one.until(SttText)
        await one.say("please", 2)
        await one.until(SttText, 2)
    assert one.finals() == [(1, "where is my order"), (2, "please")]
    interims = [text.text for text in one.results if isinstance(text, SttText) and not text.final]
    assert any(text.startswith("where is") for text in interims), interims
    assert one.account.offences == []


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", ["cut", "garbage", "silent", "refused"])
async def test_a_line_that_breaks_in_mid_word_comes_back_without_losing_any(engine: str, kind: str) -> None:
    protocol, _ = ENGINES[engine]
    # the HTTP client itself tries a handshake twice before it gives up
    times = 2 if kind == "refused" else 1
    async with line(engine, FaultOrder(protocol=protocol, kind=kind, after_ms=500, times=times)) as one:
        await one.say("where is my order", 1)
        await one.until(SttText)
    assert one.finals() == [(1, "where is my order")]
    (trouble,) = [result for result in one.results if isinstance(result, SttTrouble)]
    expected = {"cut": "cut", "garbage": "garbage", "silent": "slow", "refused": "refused"}
    assert trouble.error.cause == expected[kind]
    assert len(list(one.account.entries(protocol, "open"))) == 1 + times
    assert one.account.offences == []


@pytest.mark.parametrize(
    ("engine", "kind", "cause", "word"),
    [
        ("deepgram", "auth_error", "rejected", "credential"),
        ("deepgram", "no_credit", "rejected", "credit"),
        ("deepgram", "forbidden", "rejected", "nova-3"),
        ("deepgram", "bad_request", "rejected", "language"),
        ("elevenlabs", "http_401", "rejected", "auth_error"),
        ("elevenlabs", "auth_error", "rejected", "auth_error"),
        ("elevenlabs", "quota_exceeded", "rejected", "quota_exceeded"),
        ("elevenlabs", "unaccepted_terms", "rejected", "unaccepted_terms"),
    ],
)
async def test_a_refusal_is_named_told_to_who_waits_and_not_tried_again(
    engine: str, kind: str, cause: str, word: str
) -> None:
    protocol, _ = ENGINES[engine]
    async with line(engine, FaultOrder(protocol=protocol, kind=kind, times=99)) as one:
        await one.until(SttTrouble)
        await one.say("where is", 1)
        (failed,) = await one.until(SttFailed)
        await asyncio.sleep(0.5)
    assert isinstance(failed, SttFailed)
    assert (failed.segment, failed.error.cause) == (1, cause)
    assert word in failed.error.detail
    assert "key" not in failed.error.detail.replace("credential", "")
    assert len(list(one.account.entries(protocol, "open"))) == 1


@pytest.mark.parametrize("kind", ["net_0001", "net_0000", "data_0000"])
async def test_deepgram_s_closes_have_their_names(kind: str) -> None:
    async with line("deepgram", FaultOrder(protocol="deepgram", kind=kind, after_ms=200)) as one:
        await one.say("where is", 1)
        await one.until(SttText)
    (trouble,) = [result for result in one.results if isinstance(result, SttTrouble)]
    assert kind.upper().replace("_", "-") in trouble.error.detail
    assert one.finals() == [(1, "where is")]


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_wrong_key_a_wrong_model_and_a_private_address(engine: str) -> None:
    async with line(engine, api_key="wrong") as one:
        (trouble,) = await one.until(SttTrouble)
        assert isinstance(trouble, SttTrouble)
        assert trouble.error.cause == "rejected"
    async with line(engine, model="nova-99x" if engine == "deepgram" else "scribe_v2") as one:
        (trouble,) = await one.until(SttTrouble)
        assert isinstance(trouble, SttTrouble)
        assert trouble.error.cause == "rejected"
    async with line(engine, allow=False) as one:
        (trouble,) = await one.until(SttTrouble)
        assert isinstance(trouble, SttTrouble)
        assert trouble.error.cause == "guard"
        assert one.account.ledger == []


@pytest.mark.parametrize("engine", ENGINES)
async def test_draining_waits_for_the_last_words(engine: str) -> None:
    async with line(engine) as one:
        await one.until(SttReady)
        await one.say("my order", 1)
        await one.session.drain()
        assert one.finals() == [(1, "my order")]


@pytest.mark.parametrize("engine", ENGINES)
async def test_closing_leaves_no_task_and_says_nothing_more(engine: str) -> None:
    async with line(engine) as one:
        await one.until(SttReady)
        one.session.begin(1, one.call_ms)
        await one.play(speak("where", HEARD))
        await one.session.close()
        said = len(one.results)
        await asyncio.sleep(0.3)
        assert len(one.results) == said
        names = [task.get_name() for task in asyncio.all_tasks()]
        assert not [name for name in names if name.startswith("stt-")], names
