"""Errors of the OpenAI wire protocol, as the local speech role answers them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from sivo.base import logs
from sivo.base.errors import SivoError

_log = logs.get("speech")


class WireError(Exception):
    """An error that the client sees as ``{"error": {"message", "type", "param", "code"}}``."""

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code

    def response(self) -> web.Response:
        """The error as an HTTP answer; 503 says when to come again."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        return web.json_response(
            {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}},
            status=self.status,
            headers={"Retry-After": "1"} if self.status == 503 else None,
        )


@web.middleware
async def errors_as_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Give every error the protocol's form."""
    try:
        return await handler(request)
    except WireError as error:
        return error.response()
    except SivoError as error:
        code = "overloaded" if error.status == 503 else None
        return WireError(error.status, error.message, code=code).response()
    except web.HTTPException as error:
        return WireError(error.status, error.reason).response()
    except ValueError as error:
        _log.warning("request refused", path=request.path, why=type(error).__name__)
        return WireError(400, str(error)).response()


async def json_object(request: web.Request) -> dict[str, Any]:
    """The request's body as a JSON object, else a 400."""
    try:
        body = await request.json()
    except ValueError as error:
        raise WireError(400, "the body is not valid JSON", code="invalid_json") from error
    if not isinstance(body, dict):
        raise WireError(400, "the body must be a JSON object", code="invalid_json")
    return body


def text_field(body: dict[str, Any], name: str, *, default: str | None = None, longest: int = 4096) -> str:
    """A string of the body with 1 to ``longest`` characters, or ``default`` when it is absent."""
    value = body.get(name, default)
    if value is None:
        raise WireError(400, f"you must provide the parameter {name}", param=name, code="missing_required_parameter")
    if not isinstance(value, str) or not value or len(value) > longest:
        raise WireError(400, f"{name} must be a string of 1 to {longest} characters", param=name, code="invalid_value")
    return value
