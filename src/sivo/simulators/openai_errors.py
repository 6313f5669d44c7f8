"""Accounts, error bodies and faults of the OpenAI-compatible double.

Faults before the answer (protocols ``openai_chat``, ``openai_speech``, ``openai_transcription``): the names of
:data:`REFUSALS`, ``refused`` (cut), ``stalled`` (no answer), ``html`` (a page instead of an answer).
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import web

from sivo.simulators.script import Account, FaultOrder, World

#: Name -> status, type, code, message, Retry-After.
REFUSALS: dict[str, tuple[int, str, str | None, str, int]] = {
    "invalid_api_key": (401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided.", 0),
    "forbidden": (403, "invalid_request_error", "model_permission_blocked_org", "The model is blocked.", 0),
    "rate_limited": (429, "requests", "rate_limit_exceeded", "Rate limit reached.", 2),
    "insufficient_quota": (429, "insufficient_quota", "insufficient_quota", "You exceeded your current quota.", 0),
    "payment_required": (402, "billing", None, "Insufficient balance.", 0),
    "server_error": (503, "server_error", None, "The server is overloaded.", 0),
    "internal_error": (500, "server_error", "internal_error", "The server had an error.", 0),
    "model_decommissioned": (
        400,
        "invalid_request_error",
        "model_decommissioned",
        "The model has been decommissioned and is no longer supported.",
        0,
    ),
    "model_not_found": (404, "invalid_request_error", "model_not_found", "The model does not exist.", 0),
}
STALL_S = 60.0


class RefusedError(Exception):
    """An answer that is an error object."""

    def __init__(self, status: int, kind: str, code: str | None, message: str, retry_after: int = 0) -> None:
        super().__init__(message)
        self.status, self.message = status, message
        self._body = {"error": {"message": message, "type": kind, "param": None, "code": code}}
        self._headers = {"Retry-After": str(retry_after)} if retry_after else {}

    def response(self) -> web.Response:
        """As the API puts it."""
        return web.json_response(self._body, status=self.status, headers=self._headers)


def refuse(name: str) -> RefusedError:
    """One of :data:`REFUSALS`."""
    return RefusedError(*REFUSALS[name])


def bad(message: str) -> RefusedError:
    """400 for a request that the API does not allow."""
    return RefusedError(400, "invalid_request_error", None, message)


def account_of(request: web.Request, world: World) -> Account:
    """By bearer token."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    account = world.find(key) if scheme == "Bearer" else None
    if account is None:
        raise refuse("invalid_api_key")
    return account


def json_body(data: bytes, required: set[str], optional: set[str]) -> dict[str, Any]:
    """An object with known fields only."""
    try:
        body: Any = json.loads(data)
    except ValueError as error:
        raise bad("We could not parse the JSON body of your request.") from error
    if not isinstance(body, dict):
        raise bad("The body must be an object.")
    for name in sorted(required - set(body)):
        raise bad(f"Missing required parameter: '{name}'.")
    for name in sorted(set(body) - required - optional):
        raise bad(f"Unknown parameter: '{name}'.")
    return body


def check_model(account: Account, model: Any, served: list[str]) -> None:
    """A model that exists and was not retired."""
    if not isinstance(model, str) or not model:
        raise bad("you must provide a model parameter")
    if model in account.script.llm.retired:
        raise refuse("model_decommissioned")
    if served and model not in served:
        raise refuse("model_not_found")


async def fail(request: web.Request, fault: FaultOrder | None) -> None:
    """Carry out a fault that comes before the answer."""
    kind = fault.kind if fault else ""
    if kind in REFUSALS:
        raise refuse(kind)
    if kind == "stalled":
        await asyncio.sleep(STALL_S)
    if kind in ("stalled", "refused"):
        abort(request)
        raise refuse("internal_error")
    if kind == "html":
        raise web.HTTPOk(text="<html>welcome</html>", content_type="text/html")


def abort(request: web.Request) -> None:
    """Cut the connection."""
    if request.transport is not None:
        request.transport.abort()
