"""Whole conversations in real time: runner, adapters and guarded client against the strict server, a hand-made tick."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from openai_server import KEY, Script, serve, sse

from sivo.ai import runner
from sivo.media.conversation import VadWindow
from sivo.media.playout import Playout, SentFrame
from sivo.media.protocol import (
    EXIT_REASONS,
    ConversationEnded,
    ConversationSpec,
    FactBody,
    Intent,
    ProviderFault,
    Segment,
    Stage,
    Turn,
)
from sivo.outbound.client import GuardedClient
from sivo.speech.tts import PhraseCache
from support.ports import free_port

PORT = free_port()


class Emit:
    def __init__(self) -> None:
        self.facts: list[FactBody] = []
        self.notes: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, body: FactBody) -> None:
        self.facts.append(body)

    def note(self, kind: str, data: dict[str, Any]) -> None:
        self.notes.append((kind, data))

    def of(self, kind: type[Any]) -> list[Any]:
        return [body for body in self.facts if isinstance(body, kind)]


class Slot:
    def reset(self) -> None: ...

    def close(self) -> None: ...


class Phone:
    """Ticks a conversation every 20 ms as the media loop does; ``voice`` says when the caller makes a sound."""

    def __init__(self, spec: ConversationSpec, client: GuardedClient) -> None:
        self.playout, self.emit = Playout(), Emit()
        self.voice: list[tuple[int, int]] = []
        self.sent: list[tuple[int, SentFrame]] = []
        self._started = asyncio.get_running_loop().time()
        self._tick = 0
        self._window = 0
        self.conversation = runner.start(spec, self.playout, self.emit, self.now, client, Slot())

    def now(self) -> int:
        return int((asyncio.get_running_loop().time() - self._started) * 1000)

    async def run(self, limit_ms: int) -> None:
        while self.now() < limit_ms and not self.emit.of(ConversationEnded):
            self._tick += 1
            await asyncio.sleep(max(0.0, self._started + self._tick * 0.02 - asyncio.get_running_loop().time()))
            self._one(self._tick * 20)

    def _one(self, now: int) -> None:
        _, reports = self.playout.pull()
        for report in reports or [None]:
            if report is not None and report.duration_ms:
                self.sent.append((now, report))
            self.conversation.on_sent(now, report)
        windows = []
        while self._window + 32 <= now:
            self._window += 32
            voiced = any(start <= self._window - 16 < end for start, end in self.voice)
            windows.append(VadWindow(voiced, float(voiced), now - self._window))
        self.conversation.on_audio(now, b"\xff" * 160, bytes(320), windows)

    async def close(self) -> None:
        self.conversation.stop("shutdown")
        await self.conversation.wait_closed()


@pytest.fixture
async def server() -> AsyncIterator[Script]:
    async with serve(PORT) as script:
        yield script


@pytest.fixture
async def client(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[GuardedClient]:
    monkeypatch.setattr(runner, "_cache", PhraseCache())
    made = GuardedClient(f"127.0.0.0/8:{PORT}", True)
    yield made
    await made.close()


def spec(script: Script, **changes: Any) -> ConversationSpec:
    def stage(model: str) -> Stage:
        return Stage(protocol="openai", base_url=script.url, model=model, api_key=KEY, language="en", voice="v")

    values: dict[str, Any] = {
        "agent_id": "a",
        "agent_name": "Ada",
        "prompt": "You are Ada.",
        "greeting": "Hello.",
        "language": "en",
        "stt": stage("stt-1"),
        "llm": stage("llm-1"),
        "tts": stage("tts-1"),
        "intents": [Intent(name="order", phrases=["where is my order", "my order"], reply="It is on its way.")],
    }
    return ConversationSpec(**(values | changes))


def answer(text: str, action: str = "continue") -> list[bytes | float | None]:
    raw = json.dumps({"response": text, "action": action, "variables": {"order": "7"}})
    return sse(*(raw[place : place + 7] for place in range(0, len(raw), 7)))


async def test_a_conversation_from_greeting_to_hangup(server: Script, client: GuardedClient) -> None:
    server.text = "where is my order"
    server.chat = answer("It is on its way. Goodbye!", "hangup")
    phone = Phone(spec(server), client)
    phone.voice.append((1200, 2000))
    await phone.run(8000)
    (ended,) = phone.emit.of(ConversationEnded)
    assert ended.reason == "agent_hangup"
    assert ended.reason in EXIT_REASONS
    assert ended.variables == {"order": "7"}
    assert ended.usage["llm_requests"] == 1
    (turn,) = phone.emit.of(Turn)
    assert (turn.user_text, turn.reply_text) == ("where is my order", "It is on its way. Goodbye!")
    assert list(turn.latency.values()) == sorted(turn.latency.values())
    said = [(body.speaker, body.text) for body in phone.emit.of(Segment)]
    assert said == [
        ("agent", "Hello."),
        ("caller", "where is my order"),
        ("agent", "It is on its way."),
        ("agent", "Goodbye!"),
    ]
    chat = next(body for kind, body in server.seen if kind == "chat")
    system = chat["messages"][0]["content"]
    intents = json.loads(system.split("INTENTS_JSON:\n")[1].split("\n")[0])
    assert intents[0]["name"] == "order"
    assert json.loads(chat["messages"][1]["content"])["response"] == "Hello."
    (stt,) = [body for kind, body in server.seen if kind == "stt"]
    seconds = len(stt["pcm"]) / 2 / 16_000
    assert 0.8 + 0.2 + 0.5 <= seconds <= 0.8 + 0.3 + 0.3 + 0.5 + 0.1, "pre-roll, voice, stop, trailing silence"
    await phone.close()
    assert len(phone.emit.of(ConversationEnded)) == 1


async def test_phrases_made_ahead_are_made_once_for_the_next_call(server: Script, client: GuardedClient) -> None:
    for _ in range(2):
        phone = Phone(spec(server), client)
        await phone.run(900)
        await phone.close()
    inputs = [body["input"] for kind, body in server.seen if kind == "tts"]
    assert len(inputs) == len(set(inputs)) == 6
    assert inputs[0] == "Hello.", "the greeting comes first"


@pytest.mark.parametrize("fault", ["stt", "llm", "llm cut", "tts", "slow llm"])
async def test_a_fault_is_heard_soon_and_ends_in_a_goodbye(server: Script, client: GuardedClient, fault: str) -> None:
    server.chat = answer("Fine.")
    phone = Phone(spec(server), client)
    phone.voice.append((1400, 2200))
    await phone.run(1300)
    match fault:
        case "stt":
            server.stt_status = 503
        case "llm":
            server.chat_status = 500
        case "llm cut":
            server.chat = [*sse('{"resp', done=False), None]
        case "tts":
            server.tts_status = 500
        case "slow llm":
            server.chat = [9.0]
    await phone.run(12_000)
    first = next(at for at, _ in phone.sent if at > 2200)
    assert first - 2200 <= 3 * 2500
    (ended,) = phone.emit.of(ConversationEnded)
    assert ended.reason == "provider_failure"
    faults = phone.emit.of(ProviderFault)
    assert faults[-1].stage == fault.split()[-1 if fault == "slow llm" else 0]
    assert faults[-1].action == "goodbye"
    assert not any(KEY in item.detail for item in faults)
    agent = [body.text for body in phone.emit.of(Segment) if body.speaker == "agent"]
    assert agent[-2].startswith("I am sorry")
    await phone.close()


async def test_stop_closes_the_providers_streams(server: Script, client: GuardedClient) -> None:
    server.chat = [*sse('{"response": "One moment. ', done=False), *([0.05, b": ping\n\n"] * 200)]
    phone = Phone(spec(server), client)
    phone.voice.append((1000, 1600))
    await phone.run(2600)
    phone.conversation.stop("caller_hangup")
    (ended,) = phone.emit.of(ConversationEnded)
    assert ended.reason == "caller_hangup"
    await asyncio.wait_for(phone.conversation.wait_closed(), 3)
    await asyncio.wait_for(server.closed.wait(), 2)
    names = [task.get_name() for task in asyncio.all_tasks()]
    assert not [name for name in names if name.startswith(("llm-", "tts", "stt-", "warm", "release"))]


async def test_a_protocol_that_is_not_spoken_is_a_fault_not_silence(server: Script, client: GuardedClient) -> None:
    agent = spec(server)
    agent.stt.protocol = "semaphore"
    phone = Phone(agent, client)
    phone.voice.append((1000, 1600))
    await phone.run(8000)
    (ended,) = phone.emit.of(ConversationEnded)
    assert ended.reason == "provider_failure"
    (fault,) = phone.emit.of(ProviderFault)
    assert (fault.stage, fault.cause) == ("stt", "rejected")
    assert "semaphore" in fault.detail
    await phone.close()


async def test_a_mistake_of_ours_ends_the_conversation_and_says_so(
    server: Script, client: GuardedClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = Phone(spec(server), client)
    await phone.run(400)

    def broken(*_: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(phone.conversation._engine, "tick", broken)
    await phone.run(1000)
    (ended,) = phone.emit.of(ConversationEnded)
    assert ended.reason == "node_failure"
    assert phone.playout.queued_ms == 0
    await phone.close()
    assert len(phone.emit.of(ConversationEnded)) == 1
