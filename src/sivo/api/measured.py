"""Counts requests of the HTTP API for operators: method and class of the answer, never a path or a tenant."""

from __future__ import annotations

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sivo.monitoring.book import Book
from sivo.monitoring.declared import HTTP_REQUESTS, HTTP_SECONDS


class Measured:
    """ASGI middleware around everything else."""

    def __init__(self, app: ASGIApp, book: Book) -> None:
        self._app = app
        self._book = book

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, method = time.perf_counter(), scope["method"]

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._book.count(HTTP_REQUESTS, method=method, status=f"{message['status'] // 100}xx")
                self._book.observe(HTTP_SECONDS, time.perf_counter() - begun, method=method)
            await send(message)

        await self._app(scope, receive, counted)
