"""Scribe realtime as a stage: where it is, what its refusals and closes mean."""

from __future__ import annotations

from sivo.media.protocol import Stage
from sivo.outbound.client import GuardedClient
from sivo.outbound.failure import HandshakeRefused
from sivo.outbound.websocket import SocketClosed
from sivo.speech.faults import ProviderError
from sivo.speech.live_session import LiveSession, Place
from sivo.speech.scribe import Scribe, query
from sivo.speech.stt import OnText


def open_scribe(http: GuardedClient, stage: Stage, on_text: OnText, *, patient: bool = False) -> LiveSession:
    """A session with the model and language of ``stage``. The key goes into a header: in the query it is refused."""
    place = Place(
        url=stage.base_url.rstrip("/").removesuffix("/v1") + "/v1/speech-to-text/realtime",
        headers={"xi-api-key": stage.api_key},
        params=query(stage.model, stage.language),
        refused=refused,
        ended=ended,
        internal=stage.internal,
    )
    return LiveSession(Scribe(patient=patient), place, http, on_text)


def refused(error: HandshakeRefused) -> tuple[ProviderError, bool]:
    """What an HTTP answer instead of a stream means."""
    status = error.http_status
    if status in (401, 403):
        return ProviderError("rejected", f"auth_error: the credential was refused (HTTP {status})"), True
    if status == 429:
        return ProviderError("rejected", "rate_limited: rate limit exceeded (HTTP 429)"), False
    if status >= 500:
        return ProviderError("refused", f"the server failed (HTTP {status})"), False
    return ProviderError("rejected", f"the request was refused (HTTP {status})"), True


def ended(closed: SocketClosed) -> tuple[ProviderError, bool]:
    """What a close without an error before it means."""
    if closed.code == 1000:
        return ProviderError("cut", "the engine closed an idle stream (code 1000)"), False
    return ProviderError("cut", f"the connection was closed (code {closed.code})"), False
