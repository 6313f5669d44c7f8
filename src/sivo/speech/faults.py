"""How a provider stage fails: one error with a closed list of causes, for the engine and for the trace."""

from __future__ import annotations

from typing import Literal

from sivo.base.errors import SivoError

Stage = Literal["stt", "llm", "tts"]
#: refused: no connection, or a server in trouble (5xx) · slow: a time limit passed · cut: the answer stopped in the
#: middle · rejected: an error status (key, quota, model, input) · garbage: an answer that cannot be used · guard: our
#: own outbound guard said no.
Cause = Literal["refused", "slow", "cut", "rejected", "garbage", "guard"]


class ProviderError(Exception):
    """A provider did not do its part. ``detail`` is for people and holds no secret and no spoken text."""

    def __init__(self, cause: Cause, detail: str, *, status: int = 0) -> None:
        super().__init__(f"{cause}: {detail}")
        self.cause: Cause = cause
        self.detail = detail
        #: HTTP status of the answer, 0 when it was none.
        self.status = status


def explain(error: Exception, *, streaming: bool = False) -> ProviderError:
    """Translate what the outbound client raises; ``streaming``: the answer had already begun."""
    if isinstance(error, ProviderError):
        return error
    if isinstance(error, TimeoutError):
        return ProviderError("slow", "no answer within the time limit")
    if not isinstance(error, SivoError):
        return ProviderError("garbage", f"{type(error).__name__} while reading the answer")
    place = f"{error.message} ({error.where})" if error.where else error.message
    if error.code == "OUTBOUND_REFUSED":
        return ProviderError("guard", place)
    if error.code == "OUTBOUND_TIMEOUT":
        return ProviderError("slow", place)
    if error.code == "OUTBOUND_TOO_LARGE":
        return ProviderError("garbage", place)
    return ProviderError("cut" if streaming else "refused", place)
