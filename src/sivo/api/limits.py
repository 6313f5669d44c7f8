"""What every request is measured against before a route sees it: the size of its body, and headers of every answer."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sivo.api.problems import PAYLOAD_TOO_LARGE, language_of, problem
from sivo.base.errors import SivoError
from sivo.identity.authentication import STANDING

#: Bytes. The largest honest body is a resource with a long prompt, some 100 KiB.
MAX_BODY = 1_000_000

_SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
)


class BodyLimit:
    """Answers 413 to a body above ``limit`` bytes, whether it is announced or streamed."""

    def __init__(self, app: ASGIApp, limit: int = MAX_BODY) -> None:
        self._app = app
        self._limit = limit
        self._message = f"the body is larger than {limit} bytes"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self._limit:
            await self._refuse(scope, receive, send)
            return
        await self._app(scope, self._counted(receive), send)

    def _counted(self, receive: Receive) -> Receive:
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._limit:
                # Inside the app, so that its exception handlers make a problem of it.
                raise HTTPException(413, self._message)
            return message

        return counted

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        error = SivoError(PAYLOAD_TOO_LARGE, self._message, where="body")
        await problem(error, language_of(scope))(scope, receive, send)


class SecurityHeaders:
    """Adds what browsers should be told with every answer, and the rate limit that the request was counted under.

    Answers of the API are never cached by others.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message.setdefault("headers", [])
                present = {name.lower() for name, _ in headers}
                headers.extend(pair for pair in _SECURITY_HEADERS if pair[0] not in present)
                standing = scope.get("state", {}).get(STANDING, {})
                headers.extend((name.lower().encode(), value.encode()) for name, value in standing.items())
                if b"cache-control" not in present:
                    headers.append((b"cache-control", b"no-store"))
            await send(message)

        await self._app(scope, receive, with_headers)
