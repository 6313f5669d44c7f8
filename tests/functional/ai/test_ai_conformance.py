"""``barge_in_cooldown_ms`` and ``speech_min_ms`` heard through the real voice detector, in real time.

The noise is speech played backwards: a voice to the detector, words to nobody.
"""

from __future__ import annotations

import asyncio
import json
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from openai_server import KEY, Script, serve, sse

from sivo.ai import runner
from sivo.media import codec
from sivo.media.playout import Playout
from sivo.media.protocol import ConversationSpec, FactBody, Interruption, Stage, Turn
from sivo.outbound.client import GuardedClient
from sivo.speech.tts import PhraseCache
from sivo.speech.vad import SileroBatch
from support.ports import free_port

PORT = free_port()
DATA = Path(__file__).parents[2] / "data"
Samples = npt.NDArray[np.float64]


def clip(name: str) -> Samples:
    with wave.open(str(DATA / f"{name}.wav")) as file:
        assert file.getframerate() == 8000
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float)


QUESTION, YES, NOISE = clip("voice/en_order_slt"), clip("voice/en_yes_rms"), clip("noise/babble_450ms")


class Facts(list[FactBody]):
    def __call__(self, body: FactBody) -> None:
        self.append(body)

    def note(self, kind: str, data: dict[str, Any]) -> None:
        pass

    def of(self, kind: type[Any]) -> list[Any]:
        return [body for body in self if isinstance(body, kind)]


class Caller:
    """A conversation with real audio; ``say`` queues what the caller says ``after_ms`` from now."""

    def __init__(self, spec: ConversationSpec, client: GuardedClient, vad: SileroBatch) -> None:
        self.facts, self.playout, self.vad = Facts(), Playout(), vad
        self.slot = vad.open()
        self.tick = 0
        self.last_frame = 0
        self.line = np.random.default_rng(2).normal(0, 5, 8000 * 60)
        self.conversation = runner.start(spec, self.playout, self.facts, self.now, client, self.slot)

    def now(self) -> int:
        return self.tick * 20

    def say(self, after_ms: int, what: Samples) -> None:
        start = (self.now() + after_ms) * 8
        self.line[start : start + len(what)] += what

    async def run(self, ms: int) -> None:
        loop = asyncio.get_running_loop()
        origin = loop.time() - self.now() / 1000
        until = self.now() + ms
        while self.now() < until:
            self.tick += 1
            await asyncio.sleep(max(0.0, origin + self.now() / 1000 - loop.time()))
            _, reports = self.playout.pull()
            for report in reports or [None]:
                if report is not None and report.duration_ms:
                    self.last_frame = self.now()
                self.conversation.on_sent(self.now(), report)
            frame = self.line[(self.tick - 1) * 160 : self.tick * 160].astype("<i2").tobytes()
            ulaw = codec.encode(codec.PCMU, frame)
            pcm16 = codec.decode(codec.PCMU, ulaw)
            self.conversation.on_audio(self.now(), ulaw, pcm16, self.vad.process([(self.slot, pcm16)])[0])

    async def run_to_end_of_reply(self) -> None:
        for _ in range(500):
            await self.run(20)
            if self.facts.of(Turn):
                return
        raise AssertionError("no reply")

    async def close(self) -> None:
        self.conversation.stop("shutdown")
        await self.conversation.wait_closed()


@pytest.fixture
async def server() -> AsyncIterator[Script]:
    async with serve(PORT) as script:
        script.chat = sse(json.dumps({"response": "It is on its way."}))
        yield script


@pytest.fixture
async def client(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[GuardedClient]:
    monkeypatch.setattr(runner, "_cache", PhraseCache())
    made = GuardedClient(f"127.0.0.0/8:{PORT}", True)
    yield made
    await made.close()


@pytest.fixture(scope="module")
def vad() -> SileroBatch:
    return SileroBatch()


def spec(script: Script, name: str, **changes: Any) -> ConversationSpec:
    def stage(model: str) -> Stage:
        return Stage(protocol="openai", base_url=script.url, model=model, api_key=KEY, voice="v")

    return ConversationSpec(
        agent_id="a",
        agent_name="Ada",
        prompt="You are Ada.",
        greeting="Hello.",
        language="en",
        stt=stage(name),
        llm=stage("llm-1"),
        tts=stage("tts-1"),
        **changes,
    )


async def test_cooldown_0_against_1000(server: Script, client: GuardedClient, vad: SileroBatch) -> None:
    async def turns(cooldown: int, what: Samples, text: str) -> int:
        name = f"{cooldown} {text}"
        server.texts[name] = ["where is my last order", text]
        caller = Caller(spec(server, name, barge_in_cooldown_ms=cooldown), client, vad)
        caller.say(2500, QUESTION)
        await caller.run_to_end_of_reply()
        caller.say(caller.last_frame + 100 - caller.now(), what)
        await caller.run(4000)
        await caller.close()
        return len(caller.facts.of(Turn)) - 1

    found = await asyncio.gather(
        turns(0, NOISE, ""), turns(1000, NOISE, ""), turns(0, YES, "yes"), turns(1000, YES, "yes")
    )
    assert found == [1, 0, 1, 1]


async def test_speech_min_ms_decides_what_pauses_the_agent(
    server: Script, client: GuardedClient, vad: SileroBatch
) -> None:
    server.tts_ms = 3000

    async def outcome(minimum: int) -> list[str]:
        server.texts[str(minimum)] = ["", ""]
        caller = Caller(spec(server, str(minimum), speech_min_ms=minimum), client, vad)
        caller.say(1200, NOISE)
        await caller.run(4000)
        await caller.close()
        return [item.outcome for item in caller.facts.of(Interruption)]

    assert await asyncio.gather(outcome(200), outcome(300), outcome(800)) == [["committed"], ["resumed"], []]
