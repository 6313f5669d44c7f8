"""What came back from an outbound request: whole, or piece by piece."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp

from sivo.base.errors import SivoError
from sivo.outbound.failure import OUTBOUND_TOO_LARGE, explaining


class Answer:
    """A whole answer: ``status`` (a 3xx is not followed), ``headers`` (case-insensitive) and ``body``."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    def json(self) -> Any:
        """The body as JSON; ``ValueError`` when it is none."""
        return json.loads(self.body)


class Stream:
    """An answer that is still arriving. Leaving the ``async with`` closes the connection if it is not done."""

    def __init__(self, response: aiohttp.ClientResponse, max_bytes: int) -> None:
        self._response = response
        self._max_bytes = max_bytes
        self._taken = 0
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    async def chunks(self) -> AsyncIterator[bytes]:
        """Pieces of the body as they arrive. Raises as :meth:`sivo.outbound.client.GuardedClient.request` does."""
        content = self._response.content
        while True:
            with explaining(self._response.url):
                chunk = await content.readany()
            if not chunk:
                return
            self._taken += len(chunk)
            if self._taken > self._max_bytes:
                raise SivoError(
                    OUTBOUND_TOO_LARGE,
                    f"the answer is larger than {self._max_bytes} bytes",
                    where=self._response.url.host,
                )
            yield chunk

    async def lines(self) -> AsyncIterator[str]:
        """Lines without their end (LF or CRLF), as server-sent events are framed; a line may span chunks."""
        pending = b""
        async for chunk in self.chunks():
            *whole, pending = (pending + chunk).split(b"\n")
            for line in whole:
                yield line.rstrip(b"\r").decode("utf-8", "replace")
        if pending:
            yield pending.rstrip(b"\r").decode("utf-8", "replace")

    async def read(self) -> bytes:
        """The rest of the body."""
        return b"".join([chunk async for chunk in self.chunks()])
