"""Errors on the wire: RFC 9457 ``application/problem+json`` with a stable ``code`` from one register."""

from __future__ import annotations

import json
import traceback
from http import HTTPStatus
from pathlib import Path
from typing import Any

import asyncpg
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sivo.base import logs
from sivo.base.errors import SivoError, register
from sivo.base.problem_words import DEFAULT, chosen, words

METHOD_NOT_ALLOWED = register("METHOD_NOT_ALLOWED", 405)
PAYLOAD_TOO_LARGE = register("PAYLOAD_TOO_LARGE", 413)
BAD_REQUEST = register("BAD_REQUEST", 400)

_BY_STATUS = {404: "NOT_FOUND", 405: METHOD_NOT_ALLOWED, 413: PAYLOAD_TOO_LARGE, 401: "UNAUTHENTICATED"}
_log = logs.get("api")


class Problem(BaseModel):
    """RFC 9457 problem details; ``code`` is stable, the other members are for people."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    where: str | None = None
    remedy: str | None = None
    #: English: what the place that refused knows better than the register, for readers of other languages.
    hint: str | None = None
    details: dict[str, Any] | None = None


class ProblemResponse(JSONResponse):
    """A JSON response of media type ``application/problem+json``."""

    media_type = "application/problem+json"

    def render(self, content: Any) -> bytes:
        """JSON in UTF-8; what was sent to us and has no UTF-8 form (half a surrogate pair) is shown as ``?``."""
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def language_of(scope: Scope) -> str:
    """The language that the request asks for."""
    named = [value for name, value in scope.get("headers", ()) if name == b"accept-language"]
    return chosen(b",".join(named).decode("latin-1"))


def problem(error: SivoError, language: str = DEFAULT) -> ProblemResponse:
    """Render ``error`` as RFC 9457 §3: type, title, status, detail, and our extension members.

    Title and remedy are in ``language``. ``details["retry_after"]`` (seconds) also becomes the header ``Retry-After``.
    """
    said = words(error.code, language)
    body: dict[str, Any] = {
        "type": f"urn:sivo:problem:{error.code.lower().replace('_', '-')}",
        "title": said.title if said else HTTPStatus(error.status).phrase,
        "status": error.status,
        "detail": error.message,
        "code": error.code,
    }
    if error.where:
        body["where"] = error.where
    general = said.remedy if said else None
    remedy = (error.remedy or general) if language == DEFAULT else general
    if remedy:
        body["remedy"] = remedy
    if error.remedy and error.remedy != remedy:
        body["hint"] = error.remedy
    if error.details:
        body["details"] = error.details
    headers = {"Content-Language": language}
    if "retry_after" in error.details:
        headers["Retry-After"] = str(error.details["retry_after"])
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return ProblemResponse(body, status_code=error.status, headers=headers)


async def _on_sivo_error(request: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, SivoError)
    if error.status >= 500:
        _log.error("request failed", code=error.code, detail=error.message)
    return problem(error, language_of(request.scope))


async def _on_validation(request: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, RequestValidationError)
    # The refused input is left out on purpose: it may be a password.
    faults = [{"where": ".".join(str(part) for part in e["loc"]), "message": e["msg"]} for e in error.errors()]
    first = faults[0] if faults else {"where": "body", "message": "the request is not valid"}
    return problem(
        SivoError("VALIDATION_FAILED", first["message"], where=first["where"], details={"errors": faults}),
        language_of(request.scope),
    )


async def _on_http(request: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, HTTPException)
    code = _BY_STATUS.get(error.status_code, "INTERNAL" if error.status_code >= 500 else BAD_REQUEST)
    response = problem(SivoError(code, str(error.detail)), language_of(request.scope))
    response.headers.update(error.headers or {})
    return response


async def _on_text(request: Request, _error: Exception) -> ProblemResponse:
    """Text that neither UTF-8 nor the database holds, in whatever place it came: half a surrogate pair, a NUL."""
    refused = SivoError("VALIDATION_FAILED", "the request holds a character that cannot be stored", where="request")
    return problem(refused, language_of(request.scope))


class Boundary:
    """Turns what nobody expected into a problem, and logs its kind and place.

    The exception's text is left out of log and answer: database errors quote values.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watch_start(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watch_start)
        except Exception as error:
            _log.error("unexpected error", path=scope.get("path"), kind=type(error).__name__, frames=_frames(error))
            if started:
                raise
            failed = SivoError("INTERNAL", "the platform failed to answer", remedy="see the log of the api role")
            await problem(failed, language_of(scope))(scope, receive, send)


def _frames(error: BaseException) -> list[str]:
    """The innermost frames of the traceback, without values."""
    frames = traceback.extract_tb(error.__traceback__)[-8:]
    return [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]


def install(app: FastAPI) -> None:
    """Make every error of ``app`` a problem."""
    app.add_exception_handler(SivoError, _on_sivo_error)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(UnicodeEncodeError, _on_text)
    app.add_exception_handler(asyncpg.CharacterNotInRepertoireError, _on_text)
    app.add_middleware(Boundary)
