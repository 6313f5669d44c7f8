"""The chat adapter against the double that OpenAI's SDK agrees with: retired models, quotas, reasoning, cancelling."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from sivo.ai.llm import Usage
from sivo.ai.openai_llm import OpenAiChat
from sivo.media.protocol import Stage
from sivo.outbound.client import GuardedClient
from sivo.simulators import role
from sivo.simulators.script import Account, FaultOrder, LlmScript, Script, World
from sivo.speech.faults import ProviderError

MESSAGES = [{"role": "user", "content": "hello"}]
REPLY = "It is on its way."


@asynccontextmanager
async def chat(
    llm: LlmScript, fault: str = "", model: str = "m-1", **more: Any
) -> AsyncIterator[tuple[OpenAiChat, Account]]:
    world = World(anyone=False)
    faults = [FaultOrder(protocol="openai_chat", kind=fault, times=9)] if fault else []
    account = world.make("sk", Script(llm=llm, faults=faults))
    async with role.serving(world) as port:
        client = GuardedClient(f"127.0.0.0/8:{port}", True)
        stage = Stage(protocol="openai", base_url=f"http://127.0.0.1:{port}/v1", model=model, api_key="sk")
        try:
            yield OpenAiChat(client, stage, **more), account
        finally:
            await client.close()


async def answer(adapter: OpenAiChat, usage: Usage | None = None) -> str:
    return "".join([piece async for piece in adapter.stream(MESSAGES, usage or Usage())])


@pytest.mark.parametrize("place", ["reasoning", "reasoning_content", "think"])
@pytest.mark.parametrize("usage_in", ["usage", "x_groq", ""])
@pytest.mark.parametrize("refuses", [False, True])
async def test_dialects_are_read_and_reasoning_is_not_spoken(place: str, usage_in: str, refuses: bool) -> None:
    llm = LlmScript(
        replies=[REPLY],
        reasoning="They ask for an order.",
        reasoning_in=place,
        usage_in=usage_in,
        refuses_stream_options=refuses,
        first_token_ms=1,
        token_every_ms=0,
    )
    async with chat(llm) as (adapter, account):
        usage = Usage()
        assert await answer(adapter, usage) == REPLY
        assert await answer(adapter) == REPLY
    assert (usage.completion_tokens > 0) == (usage_in == "x_groq" or (usage_in == "usage" and not refuses))
    assert account.offences == []
    assert len(list(account.entries("openai_chat", "request"))) == (3 if refuses else 2), "asked without once, for good"


NAMES = {
    "model_decommissioned": ("rejected", "model_not_found: the provider does not serve model 'm-1'"),
    "model_not_found": ("rejected", "choose a current model"),
    "insufficient_quota": ("rejected", "quota_exceeded: the account has no credit left (HTTP 429"),
    "payment_required": ("rejected", "quota_exceeded: the account has no credit left (HTTP 402"),
    "rate_limited": ("rejected", "rate limit exceeded (HTTP 429"),
    "invalid_api_key": ("rejected", "the credential was refused (HTTP 401"),
    "forbidden": ("rejected", "the credential was refused (HTTP 403"),
    "server_error": ("refused", "HTTP 503"),
    "refused": ("refused", ""),
    "stalled": ("slow", ""),
    "html": ("garbage", "text/html"),
    "garbage": ("garbage", "not JSON"),
    "error": ("cut", "reported an error in the stream"),
    "cut": ("cut", ""),
    "stall": ("slow", ""),
}


@pytest.mark.parametrize("fault", NAMES)
async def test_every_fault_has_its_name(fault: str) -> None:
    cause, words = NAMES[fault]
    llm = LlmScript(replies=[REPLY], first_token_ms=1)
    async with chat(llm, fault, first_token_s=0.5, next_token_s=0.5) as (adapter, account):
        with pytest.raises(ProviderError) as failed:
            await answer(adapter)
    assert failed.value.cause == cause
    assert words in failed.value.detail
    assert "sk" not in failed.value.detail.split() and account.offences == []


async def test_the_retired_default_names_its_successors() -> None:
    llm = LlmScript(retired=["llama-3.1-70b-versatile"], first_token_ms=1)
    async with chat(llm, model="llama-3.1-70b-versatile") as (adapter, _):
        with pytest.raises(ProviderError) as failed:
            await answer(adapter)
    assert "openai/gpt-oss-120b" in failed.value.detail and failed.value.cause == "rejected"


async def test_cancelling_closes_the_stream() -> None:
    llm = LlmScript(replies=["word " * 400], first_token_ms=1, token_every_ms=10)
    async with chat(llm) as (adapter, account):
        async with aclosing(adapter.stream(MESSAGES, Usage())) as pieces:
            await anext(pieces)
        for _ in range(300):
            if list(account.entries("openai_chat", "close")):
                break
            await asyncio.sleep(0.01)
        (closed,) = account.entries("openai_chat", "close")
    assert closed.data == {"by": "client"}
