"""A second provider for every stage, against the doubles: what fails over, what does not, and what is counted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from sivo.ai import providers
from sivo.ai.breaker import FAILURES, Breaker
from sivo.ai.llm import Usage
from sivo.media.protocol import ConversationSpec, Stage
from sivo.outbound.client import GuardedClient
from sivo.simulators import role
from sivo.simulators.script import Account, FaultOrder, LlmScript, Script, SttScript, TtsScript, World
from sivo.speech.alignment import Alignment
from sivo.speech.faults import ProviderError
from sivo.speech.stt import SttFailed, SttResult, SttText

TAGGED = "[laughs] Very well."
QUICK = TtsScript(first_byte_ms=1, piece_every_ms=0, tones={"Very well.": 500, TAGGED: 500})
MESSAGES = [{"role": "user", "content": "hello"}]
CHAT, SPEECH, HEARING, VOICE = "openai_chat", "openai_speech", "openai_transcription", "elevenlabs_ws"


@dataclass
class Bench:
    one: Account
    two: Account
    stages: providers.Providers
    switched: list[tuple[str, str]]
    used: dict[str, float]

    async def ask(self) -> str:
        return "".join([piece async for piece in self.stages.llm.stream(MESSAGES, Usage())])

    async def say(self, text: str) -> bytes:
        return b"".join([piece async for piece in self.stages.tts.speak(text) if not isinstance(piece, Alignment)])


def faults(protocol: str, kind: str, times: int = 100) -> list[FaultOrder]:
    return [FaultOrder(protocol=protocol, kind=kind, times=times)]


@asynccontextmanager
async def bench(broken: list[FaultOrder], *, second: bool = True, tts: str = "openai") -> AsyncIterator[Bench]:
    world = World(anyone=False)
    llm = LlmScript(replies=["from one"], first_token_ms=1)
    one = world.make("one", Script(llm=llm, tts=QUICK, stt=SttScript(utterances=["one heard"]), faults=broken))
    llm = LlmScript(replies=["from two"], first_token_ms=1)
    two = world.make("two", Script(llm=llm, tts=QUICK, stt=SttScript(utterances=["two heard"], final_delay_ms=1)))
    async with role.serving(world) as port:
        client = GuardedClient(f"127.0.0.0/8:{port}", True)
        place = f"http://127.0.0.1:{port}"

        def stage(key: str, protocol: str = "openai", **more: Any) -> Stage:
            base = f"{place}/v1" if protocol == "openai" else place
            return Stage(protocol=protocol, base_url=base, api_key=key, **({"model": "m", "voice": "v"} | more))

        voice = stage("one", tts, model="eleven_v3") if tts != "openai" else stage("one")
        spec = ConversationSpec(
            agent_id="a",
            agent_name="Ada",
            prompt="",
            greeting="",
            language="en",
            tenant="acme",
            stt=stage("one"),
            llm=stage("one"),
            tts=voice,
            second={name: stage("two") for name in ("stt", "llm", "tts")} if second else {},
        )
        stages = providers.connect(spec, client, Breaker())
        made = Bench(one, two, stages, [], {})
        stages.board.failover = lambda name, error: made.switched.append((name, error.cause))
        stages.board.used = lambda name, amount: made.used.update({name: made.used.get(name, 0) + amount})
        try:
            yield made
        finally:
            await stages.tts.close()
            await client.close()


@pytest.mark.parametrize(
    ("kind", "cause"),
    [("refused", "refused"), ("server_error", "refused"), ("invalid_api_key", "rejected"), ("stalled", "slow")],
)
async def test_the_second_model_answers_when_the_first_has_not_begun(kind: str, cause: str) -> None:
    async with bench(faults(CHAT, kind)) as desk:
        assert await desk.ask() == "from two"
        assert await desk.ask() == "from two"
        assert desk.switched == [("llm", cause)], "told once, and it stays there"
        assert len(list(desk.one.entries(CHAT, "request"))) == (2 if kind == "refused" else 1)


async def test_a_connection_that_broke_once_is_no_reason_to_change() -> None:
    async with bench(faults(CHAT, "refused", times=1)) as desk:
        assert await desk.ask() == "from one"
        assert desk.switched == []


async def test_an_answer_that_has_begun_is_not_mixed_with_another_one() -> None:
    async with bench(faults(CHAT, "cut")) as desk:
        with pytest.raises(ProviderError) as failed:
            await desk.ask()
    assert failed.value.cause == "cut" and desk.switched == []


async def test_without_a_second_provider_the_fault_is_told() -> None:
    async with bench(faults(CHAT, "insufficient_quota"), second=False) as desk:
        with pytest.raises(ProviderError) as failed:
            await desk.ask()
    assert failed.value.detail.startswith("quota_exceeded: the account has no credit left (HTTP 429")


async def test_a_provider_that_keeps_failing_is_left_alone_by_later_calls() -> None:
    async with bench(faults(CHAT, "server_error"), second=False) as desk:
        for _ in range(FAILURES + 2):
            with pytest.raises(ProviderError) as failed:
                await desk.ask()
        assert len(list(desk.one.entries(CHAT, "request"))) == FAILURES, "then it was not even asked"
        assert failed.value.detail == "the llm provider failed 3 times within 30 s and rests"


async def test_the_second_voice_speaks_without_the_tags_of_the_first() -> None:
    broken = [*faults("elevenlabs_dialogue", "quota_exceeded"), *faults("elevenlabs_http", "quota_exceeded")]
    async with bench(broken, tts="elevenlabs") as desk:
        assert desk.stages.tts.stage.api_key == "one"
        assert len(await desk.say(TAGGED)) > 1000
        assert desk.stages.tts.stage.api_key == "two"
        assert desk.switched == [("tts", "rejected")]
        assert [entry.data["input"] for entry in desk.two.entries(SPEECH, "request")] == ["Very well."]
        assert desk.used["tts_characters"] == len(TAGGED) + len("Very well.")
    assert desk.two.offences == []


async def test_the_second_ear_hears_the_segment_again() -> None:
    async with bench(faults(HEARING, "server_error")) as desk:
        heard: asyncio.Queue[SttResult] = asyncio.Queue()
        ear = desk.stages.stt(heard.put_nowait)
        for frame in range(60):
            if frame == 20:
                ear.begin(1, 400.0)
            ear.audio((frame + 1) * 20, b"\xff" * 160, bytes(320))
        ear.finish(1, 1_200.0)
        result = await asyncio.wait_for(heard.get(), 5)
        assert result == SttText(1, "two heard", True)
        ear.begin(2, 1_200.0)
        ear.audio(1_220, b"\xff" * 160, bytes(320))
        ear.finish(2, 1_300.0)
        assert isinstance(await asyncio.wait_for(heard.get(), 5), SttText)
        await ear.close()
        assert desk.switched == [("stt", "refused")]
        assert len(list(desk.one.entries(HEARING, "request"))) == 1
        assert desk.used["stt_audio_seconds"] == pytest.approx(1.1 + 0.4)
    assert desk.two.offences == []


async def test_an_ear_without_a_second_one_says_that_it_failed() -> None:
    async with bench(faults(HEARING, "server_error"), second=False) as desk:
        heard: asyncio.Queue[SttResult] = asyncio.Queue()
        ear = desk.stages.stt(heard.put_nowait)
        ear.begin(1, 0.0)
        ear.audio(20, b"\xff" * 160, bytes(320))
        ear.finish(1, 20.0)
        assert isinstance(await asyncio.wait_for(heard.get(), 5), SttFailed)
        await ear.close()
