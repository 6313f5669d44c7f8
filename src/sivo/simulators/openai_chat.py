"""``POST /v1/chat/completions`` and ``GET /v1/models``.

Faults beside those of :mod:`~sivo.simulators.openai_errors`, in the middle of a stream: ``error`` (an error object as
an event), ``cut``, ``stall``, ``garbage``.

Source: platform.openai.com/docs/api-reference/chat/create; usage below ``x_groq``: console.groq.com/docs.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from typing import Any

from aiohttp import web

from sivo.simulators.openai_errors import STALL_S, RefusedError, abort, account_of, bad, check_model, fail, json_body
from sivo.simulators.script import Account, FaultOrder, World

PROTOCOL = "openai_chat"
_OPTIONAL = {
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "metadata",
    "n",
    "parallel_tool_calls",
    "presence_penalty",
    "reasoning_effort",
    "response_format",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
}
_ROLES = ("system", "developer", "user", "assistant", "tool")


def routes(world: World) -> list[web.RouteDef]:
    """Chat and the list of models."""

    async def chat(request: web.Request) -> web.StreamResponse:
        try:
            account = account_of(request, world)
            return await _chat(request, account)
        except RefusedError as error:
            return error.response()

    async def models(request: web.Request) -> web.StreamResponse:
        try:
            account = account_of(request, world)
        except RefusedError as error:
            return error.response()
        names = account.script.llm.models
        return web.json_response({"object": "list", "data": [{"id": name, "object": "model"} for name in names]})

    return [web.post("/v1/chat/completions", chat), web.get("/v1/models", models)]


async def _chat(request: web.Request, account: Account) -> web.StreamResponse:
    data = await request.read()
    use = account.use(PROTOCOL, {})
    script = account.script.llm
    try:
        body = json_body(data, {"model", "messages"}, _OPTIONAL)
        account.write(PROTOCOL, use, "request", body)
        _check(body)
        if script.refuses_stream_options and "stream_options" in body:
            raise bad("Unrecognized request argument supplied: stream_options")
    except RefusedError as error:
        if "stream_options" not in error.message:
            account.write(PROTOCOL, use, "offence", {"what": error.message})
        raise
    check_model(account, body["model"], script.models)
    fault = account.fault(PROTOCOL, use)
    await fail(request, fault)
    reply = script.replies[min(_turn(account), len(script.replies) - 1)]
    text = reply if isinstance(reply, str) else json.dumps(reply, ensure_ascii=False)
    usage = {"prompt_tokens": len(data) // 4, "completion_tokens": max(1, len(text) // 4)}
    usage["total_tokens"] = sum(usage.values())
    await asyncio.sleep(script.first_token_ms / 1000)
    if not body.get("stream"):
        return _whole(body["model"], text, usage)
    try:
        return await _Streaming(request, account, body, fault).send(text, usage)
    except (asyncio.CancelledError, ConnectionError):
        account.write(PROTOCOL, use, "close", {"by": "client"})
        raise


def _turn(account: Account) -> int:
    number = int(account.memory.get(PROTOCOL, 0))
    account.memory[PROTOCOL] = number + 1
    return number


def _check(body: dict[str, Any]) -> None:
    messages = body["messages"]
    if not isinstance(messages, list) or not messages:
        raise bad("[] is too short - 'messages'")
    for message in messages:
        if not isinstance(message, dict) or message.get("role") not in _ROLES:
            raise bad("a message needs a role")
        if message["role"] != "assistant" and not message.get("content"):
            raise bad("a message needs content")
    if "stream_options" in body and not body.get("stream"):
        raise bad("The 'stream_options' parameter is only allowed when 'stream' is enabled.")


def _whole(model: str, text: str, usage: dict[str, int]) -> web.Response:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return web.json_response(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": model,
            "choices": [choice],
            "usage": usage,
        }
    )


class _Streaming:
    def __init__(self, request: web.Request, account: Account, body: dict[str, Any], fault: FaultOrder | None) -> None:
        self._request = request
        self._script = account.script.llm
        self._body = body
        self._fault = fault
        self._response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})

    async def send(self, text: str, usage: dict[str, int]) -> web.StreamResponse:
        await self._response.prepare(self._request)
        await self._delta({"role": "assistant", "content": ""})
        await self._reason()
        pieces = re.findall(r"(?s).{1,6}", text)
        for number, piece in enumerate(pieces):
            if number == len(pieces) // 2 and await self._misbehave():
                return self._response
            await self._delta({"content": piece})
            await asyncio.sleep(self._script.token_every_ms / 1000)
        last: dict[str, Any] = {"x_groq": {"usage": usage}} if self._script.usage_in == "x_groq" else {}
        await self._delta({}, reason="stop", **last)
        if self._script.usage_in == "usage" and (self._body.get("stream_options") or {}).get("include_usage"):
            await self._event({"choices": [], "usage": usage})
        await self._response.write(b"data: [DONE]\n\n")
        return self._response

    async def _reason(self) -> None:
        for piece in re.findall(r"(?s).{1,6}", self._script.reasoning):
            if self._script.reasoning_in != "think":
                await self._delta({"content": None, self._script.reasoning_in: piece})
        if self._script.reasoning and self._script.reasoning_in == "think":
            for piece in re.findall(r"(?s).{1,6}", f"<think>{self._script.reasoning}</think>\n"):
                await self._delta({"content": piece})

    async def _misbehave(self) -> bool:
        kind = self._fault.kind if self._fault else ""
        if kind == "error":
            error = {"message": "The server had an error while processing.", "type": "server_error", "code": None}
            await self._response.write(b"data: " + json.dumps({"error": error}).encode() + b"\n\n")
        elif kind == "cut":
            abort(self._request)
        elif kind == "stall":
            await asyncio.sleep(STALL_S)
        elif kind == "garbage":
            await self._response.write(b"data: {not json\n\n")
        return kind in ("error", "cut", "stall", "garbage")

    async def _delta(self, delta: dict[str, Any], reason: str | None = None, **more: Any) -> None:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        await self._event({"choices": [choice], **more})

    async def _event(self, event: dict[str, Any]) -> None:
        head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": int(time.time())}
        whole = head | {"model": self._body["model"]} | event
        await self._response.write(b"data: " + json.dumps(whole, ensure_ascii=False).encode() + b"\n\n")
