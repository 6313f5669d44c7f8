"""Times the requests of the local speech role for operators."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Middleware

from sivo.monitoring.book import Book
from sivo.monitoring.declared import SPEECH_SECONDS


def measured(book: Book) -> Middleware:
    """aiohttp middleware around everything else."""

    @web.middleware
    async def measure(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        begun, status = time.perf_counter(), 500
        try:
            answer = await handler(request)
            status = answer.status
            return answer
        except web.HTTPException as error:
            status = error.status
            raise
        finally:
            what = request.path.rpartition("/")[2]
            book.observe(SPEECH_SECONDS, time.perf_counter() - begun, what=what, status=f"{status // 100}xx")

    return measure
