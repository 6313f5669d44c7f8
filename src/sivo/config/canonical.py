"""Canonical JSON: one byte string for one value, so that it can be hashed (after RFC 8785, for our own values)."""

from __future__ import annotations

import json
from typing import Any

from sivo.base.errors import SivoError


def canonical(value: Any) -> bytes:
    """UTF-8, keys sorted, no white space. VALIDATION_FAILED for text that no database can hold (NUL, lone surrogates)."""
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        encoded = text.encode()
    except (ValueError, UnicodeEncodeError) as error:
        raise SivoError(
            "VALIDATION_FAILED", "the text holds characters that are not valid Unicode", remedy="send UTF-8 text"
        ) from error
    if "\\u0000" in text:
        raise SivoError("VALIDATION_FAILED", "the text holds a NUL character", remedy="leave it out")
    return encoded
