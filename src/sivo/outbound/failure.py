"""What can go wrong with an outbound request, in our codes and without anything secret of its URL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import aiohttp
from yarl import URL

from sivo.base.errors import SivoError, register
from sivo.outbound.address import is_literal, origin
from sivo.outbound.guard import GuardRefused

OUTBOUND_FAILED = register("OUTBOUND_FAILED", 502)
OUTBOUND_TIMEOUT = register("OUTBOUND_TIMEOUT", 504)
OUTBOUND_TOO_LARGE = register("OUTBOUND_TOO_LARGE", 502)


class HandshakeRefused(SivoError):  # noqa: N818 - named after what the server did
    """The server answered a WebSocket handshake with something else (code ``OUTBOUND_FAILED``); ``headers`` of that
    answer are there because some providers put the reason into one."""

    def __init__(self, status: int, headers: Mapping[str, str], where: str) -> None:
        super().__init__(OUTBOUND_FAILED, f"the server refused the WebSocket (HTTP {status})", where=where)
        self.http_status = status
        self.headers = headers


class BlockedError(OSError):
    """Carries a refusal through the connector, which passes on only errors of the operating system's kind."""

    def __init__(self, refusal: GuardRefused) -> None:
        super().__init__("refused by the outbound guard")
        self.refusal = refusal


@contextmanager
def explaining(url: URL) -> Iterator[None]:
    """Whatever the library raises inside is raised as ours."""
    try:
        yield
    except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
        raise _explained(error, url) from error


def _explained(error: Exception, url: URL) -> SivoError:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, BlockedError):
            refusal = cause.refusal
            where = refusal.where if is_literal(url) else f"{url.host} = {refusal.where}"
            return GuardRefused(refusal.message, where=where, remedy=refusal.remedy)
        cause = getattr(cause, "os_error", None) or cause.__cause__
    if isinstance(error, aiohttp.InvalidURL):
        return GuardRefused(
            "the host is neither a name nor an IP address in its usual form",
            where=origin(url),
            remedy="write an IPv4 address as four decimal numbers",
        )
    if isinstance(error, TimeoutError):
        return SivoError(OUTBOUND_TIMEOUT, "the server took too long", where=origin(url))
    kind = type(error).__name__
    return SivoError(OUTBOUND_FAILED, f"the request failed ({kind})", where=origin(url))
