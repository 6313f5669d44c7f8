"""Canonical JSON: one byte string for one value, so that it can be hashed (after RFC 8785, for our own values)."""

from __future__ import annotations

import json
import re
from typing import Any

from sivo.base.errors import SivoError

#: An escaped NUL that is not itself behind an escaped backslash.
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def canonical(value: Any) -> bytes:
    """UTF-8, keys sorted, no white space. VALIDATION_FAILED for text that a database cannot hold."""
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        encoded = text.encode()
    except (ValueError, RecursionError) as error:
        raise SivoError(
            "VALIDATION_FAILED", "the text holds what is not valid Unicode or JSON", remedy="send UTF-8 JSON"
        ) from error
    if _NUL.search(text):
        raise SivoError("VALIDATION_FAILED", "the text holds a NUL character", remedy="leave it out")
    return encoded
