"""Deepgram as a stage: where it is, what its refusals and closes mean."""

from __future__ import annotations

from sivo.media.protocol import Stage
from sivo.outbound.client import GuardedClient
from sivo.outbound.failure import HandshakeRefused
from sivo.outbound.websocket import SocketClosed
from sivo.speech.deepgram import Deepgram, query
from sivo.speech.faults import ProviderError
from sivo.speech.live_session import LiveSession, Place
from sivo.speech.stt import OnText

#: Closes that name themselves, by what stands in their reason: https://developers.deepgram.com/docs/errors
_CLOSES = {
    "net0000": ProviderError("cut", "NET-0000: the engine sent no result in time"),
    "net0001": ProviderError("cut", "NET-0001: the engine got no audio within its time limit"),
    "data0000": ProviderError("garbage", "DATA-0000: the engine cannot decode the audio"),
}
_STATUS = {
    400: "the model, the language or a parameter was refused",
    401: "the credential was refused",
    402: "the account has no credit left",
    403: "the credential may not use this model",
    404: "there is no such endpoint",
}


def open_deepgram(
    http: GuardedClient, stage: Stage, on_text: OnText, *, tag: str = "", patient: bool = False
) -> LiveSession:
    """A session with the model and language of ``stage``; ``tag`` labels it in the vendor's usage reports."""
    place = Place(
        url=stage.base_url.rstrip("/").removesuffix("/v1") + "/v1/listen",
        headers={"Authorization": f"Token {stage.api_key}"},
        params=query(stage.model, stage.language, tag),
        refused=lambda error: refused(error, stage),
        ended=ended,
        internal=stage.internal,
    )
    return LiveSession(Deepgram(patient=patient), place, http, on_text)


def refused(error: HandshakeRefused, stage: Stage) -> tuple[ProviderError, bool]:
    """What an HTTP answer instead of a stream means."""
    status = error.http_status
    if status in _STATUS:
        which = f" (model {stage.model!r}, language {stage.language!r})" if status in (400, 403) else ""
        return ProviderError("rejected", f"{_STATUS[status]}{which} (HTTP {status})"), True
    if status == 429:
        return ProviderError("rejected", "rate limit or quota exceeded (HTTP 429)"), False
    if 300 <= status < 400:
        return ProviderError("rejected", f"the server redirects (HTTP {status})"), True
    return ProviderError("refused", f"the server failed (HTTP {status})"), False


def ended(closed: SocketClosed) -> tuple[ProviderError, bool]:
    """What a close means; documented ones by name."""
    reason = closed.reason.lower().replace("-", "")
    for name, fault in _CLOSES.items():
        if name in reason:
            return ProviderError(fault.cause, fault.detail), False
    return ProviderError("cut", f"the connection was closed (code {closed.code})"), False
