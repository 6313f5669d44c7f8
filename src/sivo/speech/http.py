"""What the OpenAI-compatible adapters share: address, key, and what an error status means."""

from __future__ import annotations

import json
from typing import Any

from sivo.media.protocol import Stage
from sivo.speech.faults import ProviderError

#: Successors to name when a model is gone. Groq: voice research 3.4.
_SUGGESTIONS = {"llama-3": "openai/gpt-oss-120b or openai/gpt-oss-20b"}
_QUOTA_CODES = ("insufficient_quota", "quota_exceeded", "billing_hard_limit_reached", "billing_not_active")
_MODEL_CODES = (
    "model_not_found",
    "model_decommissioned",
    "model_not_active",
    "invalid_model",
    "model_terminated",
    "model_deprecated",
)


def url_of(stage: Stage, path: str) -> str:
    """``{base}{path}``; the base URL ends in ``/v1`` by convention and may have a slash behind it."""
    return stage.base_url.rstrip("/") + path


def headers_of(stage: Stage) -> dict[str, str]:
    """The credential, if there is one."""
    return {"Authorization": f"Bearer {stage.api_key}"} if stage.api_key else {}


def check_status(status: int, body: bytes, *, model: str = "") -> None:
    """Raise :class:`ProviderError` for anything but 2xx. The server's message is not passed on: it may quote the
    request; its ``code`` or ``type`` is."""
    if 200 <= status < 300:
        return
    raise status_error(status, error_code(body), model=model)


def error_code(body: bytes) -> str:
    """``error.code`` (else ``error.type``) of an OpenAI-style error body, or ''."""
    try:
        error: Any = json.loads(body)["error"]
    except (ValueError, TypeError, KeyError):
        return ""
    if not isinstance(error, dict):
        return ""
    code = error.get("code") or error.get("type") or ""
    return str(code)[:60] if isinstance(code, str | int) else ""


def status_error(status: int, code: str, *, model: str = "") -> ProviderError:
    """The fault that an HTTP status (and the provider's own code) means."""
    fault = _by_status(status, code, model)
    fault.status = status
    return fault


def _by_status(status: int, code: str, model: str) -> ProviderError:
    name = f" {code}" if code else ""
    if code in _MODEL_CODES or (status == 404 and "model" in code):
        return ProviderError("rejected", model_gone(model))
    if status in (401, 403):
        return ProviderError("rejected", f"the credential was refused (HTTP {status}{name})")
    if code in _QUOTA_CODES or status == 402:
        return ProviderError(
            "rejected",
            f"quota_exceeded: the account has no credit left (HTTP {status}{name}); top it up or raise its limit",
        )
    if status == 429:
        return ProviderError("rejected", f"rate limit exceeded (HTTP 429{name}); slow down or raise the plan")
    if status >= 500:
        return ProviderError("refused", f"the server failed (HTTP {status}{name})")
    if 300 <= status < 400:
        return ProviderError("rejected", f"the server redirects (HTTP {status}); the base URL must be the final one")
    return ProviderError("rejected", f"the request was refused (HTTP {status}{name})")


def model_gone(model: str) -> str:
    """``model_not_found`` with a suggestion where we know one."""
    successor = next((value for start, value in _SUGGESTIONS.items() if model.startswith(start)), "")
    hint = f"; the provider's current models include {successor}" if successor else "; choose a current model"
    return f"model_not_found: the provider does not serve model {model!r} (any more){hint}"
