"""``POST {base}/chat/completions`` streamed, read as liberally as servers differ (voice research 3.4)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

from sivo.ai.llm import ThinkFilter, Usage
from sivo.media.protocol import Stage
from sivo.outbound.answer import Stream
from sivo.outbound.client import GuardedClient, Limits
from sivo.speech.faults import ProviderError, explain
from sivo.speech.http import error_code, headers_of, status_error, url_of

_FIRST_TOKEN_S = 4.0
_NEXT_TOKEN_S = 5.0
_LIMITS = Limits(total=120.0, connect=2.0, idle=_NEXT_TOKEN_S, max_bytes=4 * 1024 * 1024)
_ERROR_BYTES = 64 * 1024


class OpenAiChat:
    """A chat model behind an OpenAI-compatible endpoint. ``first_token_s`` bounds the wait from the request on."""

    def __init__(
        self,
        client: GuardedClient,
        stage: Stage,
        *,
        first_token_s: float = _FIRST_TOKEN_S,
        next_token_s: float = _NEXT_TOKEN_S,
    ) -> None:
        self._client = client
        self._stage = stage
        self._first_token_s = first_token_s
        self._next_token_s = next_token_s
        self._ask_usage = True

    async def stream(self, messages: list[dict[str, str]], usage: Usage) -> AsyncGenerator[str, None]:
        """See :class:`sivo.ai.llm.ChatModel`."""
        begun = False
        try:
            async for piece in self._attempts(messages, usage):
                begun = True
                yield piece
        except Exception as error:
            raise explain(error, streaming=begun) from error

    async def _attempts(self, messages: list[dict[str, str]], usage: Usage) -> AsyncGenerator[str, None]:
        try:
            async for piece in self._once(messages, usage):
                yield piece
        except _UsageRefusedError:
            # Some servers know no stream_options; they are asked again without, once and for good.
            self._ask_usage = False
            async for piece in self._once(messages, usage):
                yield piece

    async def _once(self, messages: list[dict[str, str]], usage: Usage) -> AsyncGenerator[str, None]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._first_token_s
        body: dict[str, Any] = {"model": self._stage.model, "messages": messages, "stream": True}
        if self._ask_usage:
            body["stream_options"] = {"include_usage": True}
        request = self._client.stream(
            "POST",
            url_of(self._stage, "/chat/completions"),
            headers={"Accept": "text/event-stream", **headers_of(self._stage)},
            json=body,
            limits=_LIMITS,
            internal=self._stage.internal,
        )
        async with asyncio.timeout_at(deadline):
            answer = await request.__aenter__()
        try:
            if not answer.ok:
                await self._refuse(answer, deadline)
            kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            if kind == "text/html":
                raise ProviderError("garbage", "the answer is a page (text/html), not a chat completion")
            if kind == "application/json":
                # The server knows no streaming and gives everything at once.
                async with asyncio.timeout_at(deadline):
                    whole = (await answer.read()).decode("utf-8", "replace")
                think = ThinkFilter()
                text, _ = _delta(whole, usage, self._stage.model)
                yield think.feed(text) + think.flush()
                return
            async for piece in self._pieces(answer, usage, deadline):
                yield piece
        finally:
            await request.__aexit__(None, None, None)

    async def _refuse(self, answer: Stream, deadline: float) -> None:
        async with asyncio.timeout_at(deadline):
            body = (await answer.read())[:_ERROR_BYTES]
        if self._ask_usage and answer.status in (400, 422) and b"stream_options" in body:
            raise _UsageRefusedError
        raise status_error(answer.status, error_code(body), model=self._stage.model)

    async def _pieces(self, answer: Stream, usage: Usage, deadline: float) -> AsyncGenerator[str, None]:
        loop = asyncio.get_running_loop()
        think = ThinkFilter()
        lines = answer.lines()
        complete = False
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    line = await anext(lines)
            except StopAsyncIteration:
                break
            data = _data(line)
            if data is None:
                continue
            if data == "[DONE]":
                complete = True
                break
            text, ended = _delta(data, usage, self._stage.model)
            complete = complete or ended
            if text:
                deadline = loop.time() + self._next_token_s
                spoken = think.feed(text)
                if spoken:
                    yield spoken
        if not complete:
            raise ProviderError("cut", "the stream ended before the answer was complete")
        rest = think.flush()
        if rest:
            yield rest


class _UsageRefusedError(Exception):
    """The server does not accept ``stream_options``."""


def _data(line: str) -> str | None:
    """Payload of a ``data:`` line; None for blank lines, comments and other fields."""
    if not line.startswith("data:"):
        return None
    return line[5:].strip() or None


def _delta(data: str, usage: Usage, model: str) -> tuple[str, bool]:
    """Text of one event and whether it says that the answer is complete."""
    try:
        event = json.loads(data)
    except ValueError as error:
        raise ProviderError("garbage", "an event of the stream is not JSON") from error
    if not isinstance(event, dict):
        raise ProviderError("garbage", "an event of the stream is not an object")
    if event.get("error"):
        code = error_code(data.encode())
        if "model" in code or "quota" in code:
            raise status_error(404 if "model" in code else 429, code, model=model)
        raise ProviderError("cut", f"the provider reported an error in the stream{': ' + code if code else ''}")
    _count(event, usage)
    choices = event.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return "", False
    delta = choices[0].get("delta") or choices[0].get("message") or {}
    content = _words(delta.get("content")) if isinstance(delta, dict) else ""
    reason = choices[0].get("finish_reason")
    if reason == "content_filter":
        raise ProviderError("rejected", "the provider's content filter stopped the answer")
    return content, bool(reason)


def _words(content: Any) -> str:
    """``content`` as text. Some servers send a list of parts, reasoning among them: only text is spoken."""
    if isinstance(content, list):
        parts = [part for part in content if isinstance(part, dict) and part.get("type") == "text"]
        return "".join(str(part.get("text") or "") for part in parts)
    return content if isinstance(content, str) else ""


def _count(event: dict[str, Any], usage: Usage) -> None:
    groq = event.get("x_groq")
    counts = event.get("usage") or (groq.get("usage") if isinstance(groq, dict) else None)
    if isinstance(counts, dict):
        usage.prompt_tokens = int(counts.get("prompt_tokens") or 0)
        usage.completion_tokens = int(counts.get("completion_tokens") or 0)
