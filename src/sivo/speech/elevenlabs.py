"""What the ElevenLabs adapters share: which model is spoken to in which way, and what its errors mean."""

from __future__ import annotations

import json
import re
from typing import Any

from sivo.speech.faults import ProviderError
from sivo.speech.http import model_gone

PROTOCOL = "elevenlabs"
#: G.711 as it goes onto the wire: 8 bytes a millisecond.
FORMAT = "ulaw_8000"
BYTES_PER_MS = 8
_DIALOGUE = re.compile(r"_v[34](_|$)")
_LANGUAGE = re.compile(r"(_v2_5|_v[34])(_|$)")

#: Names that ElevenLabs gives its errors -> what to tell people.
_NAMED = {
    "invalid_api_key": "the credential was refused",
    "needs_authorization": "the credential was refused",
    "auth_error": "the credential was refused",
    "missing_permissions": "the credential has no permission for this; allow text_to_speech for the key",
    "quota_exceeded": "the quota of characters is used up; raise the plan or wait for the next period",
    "too_many_concurrent_requests": "more requests at once than the plan allows; raise the plan",
    "concurrent_limit_exceeded": "more requests at once than the plan allows; raise the plan",
    "rate_limit_exceeded": "rate limit exceeded",
    "system_busy": "the provider is overloaded",
    "voice_not_found": "the voice does not exist in this account; choose one of its voices (ai.tts_voice_id)",
    "voice_id_does_not_exist": "the voice does not exist in this account; choose one of its voices (ai.tts_voice_id)",
    "max_character_limit_exceeded": "the text is longer than the model takes",
    "unsupported_language": "the model does not speak this language; choose a multilingual one",
    "output_format_not_allowed": f"the plan does not allow the format {FORMAT}",
    "max_contexts_exceeded": "more than five contexts were open on one socket",
    "input_timeout_exceeded": "the socket was idle for too long",
}
_MODEL = ("model_not_found", "invalid_model_id", "model_id_does_not_exist", "unsupported_model", "model_deprecated")
_BUSY = ("system_busy", "input_timeout_exceeded")


def takes_tags(model: str) -> bool:
    """Whether audio tags (``[laughs]``) go to the model: v3 and later perform them, others would read them out."""
    return _DIALOGUE.search(model) is not None


def speaks_dialogue(model: str) -> bool:
    """Whether the text-to-speech websockets refuse the model (HTTP 403) and the dialogue one serves it."""
    return takes_tags(model)


def language_of(model: str, language: str) -> str:
    """``language_code`` for a model that takes one, else ''. Others answer an error when it is sent."""
    return language[:2].lower() if _LANGUAGE.search(model) else ""


def error_name(body: bytes) -> str:
    """The name in an error body (``detail.status`` over HTTP, ``error`` on sockets), or ''."""
    try:
        value: Any = json.loads(body)
    except ValueError:
        return ""
    if not isinstance(value, dict):
        return ""
    detail = value.get("detail")
    name = detail.get("status") or detail.get("code") if isinstance(detail, dict) else value.get("error")
    return str(name)[:60] if isinstance(name, str) and re.fullmatch(r"[a-z0-9_]+", name) else ""


def named_fault(name: str, model: str, where: str) -> ProviderError | None:
    """The fault that a name stands for; ``where`` is the status or close code that came with it."""
    if name in _MODEL:
        return ProviderError("rejected", model_gone(model))
    if name not in _NAMED:
        return None
    return ProviderError("refused" if name in _BUSY else "rejected", f"{name}: {_NAMED[name]} ({where})")


def http_fault(status: int, body: bytes, model: str) -> ProviderError:
    """The fault of an answer that is no audio."""
    name = error_name(body)
    fault = named_fault(name, model, f"HTTP {status}") or _by_status(status, f" {name}" if name else "")
    fault.status = status
    return fault


def _by_status(status: int, label: str) -> ProviderError:
    if status >= 500:
        return ProviderError("refused", f"the server failed (HTTP {status}{label})")
    if status in (401, 403):
        return ProviderError("rejected", f"the credential was refused (HTTP {status}{label})")
    if status == 404:
        return ProviderError("rejected", f"the voice or model does not exist (HTTP 404{label})")
    if status == 429:
        return ProviderError("rejected", f"rate limit or quota exceeded (HTTP 429{label})")
    return ProviderError("rejected", f"the request was refused (HTTP {status}{label})")


def closed_fault(code: int, reason: str, model: str, *, streaming: bool) -> ProviderError:
    """The fault of a socket that the server closed. Its reason is passed on only where it names a known error."""
    for name in (*_NAMED, *_MODEL):
        if name in reason:
            fault = named_fault(name, model, f"close code {code}")
            if fault is not None:
                return fault
    if code == 1008:
        return ProviderError("rejected", "the provider closed the socket for a breach of its rules (close code 1008)")
    return ProviderError("cut" if streaming else "refused", f"the socket was closed (close code {code})")
