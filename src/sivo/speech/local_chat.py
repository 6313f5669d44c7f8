"""``POST /v1/chat/completions``: the rules model behind the OpenAI wire protocol, streamed or whole."""

from __future__ import annotations

import json
import re
import time
from typing import Any
from uuid import uuid4

from aiohttp import web

from sivo.speech import rules
from sivo.speech.local_protocol import WireError, json_object, text_field

MODEL = "sivo-rules"
_ROLES = ("system", "developer", "user", "assistant", "tool")


async def completions(request: web.Request) -> web.StreamResponse:
    """Answer the last user message from the intents in the system message."""
    body = await json_object(request)
    model = text_field(body, "model", longest=200)
    messages = _messages(body)
    stream = body.get("stream", False)
    if not isinstance(stream, bool):
        raise WireError(400, "stream must be true or false", param="stream", code="invalid_type")
    try:
        text = rules.answer(messages)
    except ValueError as error:
        raise WireError(400, str(error), param="messages", code="invalid_intents") from error
    head = {"id": f"chatcmpl-{uuid4().hex}", "created": int(time.time()), "model": model}
    usage = _usage(messages, text)
    if stream:
        return await _stream(request, head, text, usage if _wants_usage(body) else None)
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop",
    }
    return web.json_response({**head, "object": "chat.completion", "choices": [choice], "usage": usage})


def pieces(text: str) -> list[str]:
    """``text`` cut the way a model streams it: about a word at a time."""
    return re.findall(r"\s*\S{1,6}", text)


async def _stream(
    request: web.Request, head: dict[str, Any], text: str, usage: dict[str, int] | None
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    await response.prepare(request)

    async def send(choices: list[dict[str, Any]], **more: Any) -> None:
        event = {**head, "object": "chat.completion.chunk", "choices": choices, **more}
        await response.write(b"data: " + json.dumps(event, ensure_ascii=False).encode() + b"\n\n")

    def choice(delta: dict[str, str], reason: str | None = None) -> list[dict[str, Any]]:
        return [{"index": 0, "delta": delta, "finish_reason": reason}]

    await send(choice({"role": "assistant", "content": ""}))
    for piece in pieces(text):
        await send(choice({"content": piece}))
    await send(choice({}, "stop"))
    if usage is not None:
        await send([], usage=usage)
    await response.write(b"data: [DONE]\n\n")
    await response.write_eof()
    return response


def _wants_usage(body: dict[str, Any]) -> bool:
    options = body.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True


def _messages(body: dict[str, Any]) -> list[dict[str, Any]]:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise WireError(400, "messages must be a list of at least one", param="messages", code="invalid_value")
    return [_message(message, index) for index, message in enumerate(messages)]


def _message(message: Any, index: int) -> dict[str, Any]:
    where = f"messages[{index}]"
    if not isinstance(message, dict) or message.get("role") not in _ROLES:
        raise WireError(400, f"{where}.role must be one of {', '.join(_ROLES)}", param=where, code="invalid_value")
    content = message.get("content")
    if isinstance(content, list):
        parts = [part.get("text") if isinstance(part, dict) else None for part in content]
        if not all(isinstance(part, str) for part in parts):
            raise WireError(400, f"{where}.content holds a part that is no text", param=where, code="invalid_value")
        content = "".join(str(part) for part in parts)
    if content is None and message["role"] == "assistant":
        content = ""
    if not isinstance(content, str):
        raise WireError(400, f"{where}.content must be text", param=where, code="invalid_type")
    return {"role": message["role"], "content": content}


def _usage(messages: list[dict[str, Any]], text: str) -> dict[str, int]:
    prompt = sum(len(message["content"].split()) for message in messages)
    completion = len(pieces(text))
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
