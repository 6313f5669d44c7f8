"""ETag and If-Match (RFC 9110 §8.8.3, §13.1.1): a version number on the wire, so that nobody overwrites unseen."""

from __future__ import annotations

import re

from sivo.base.errors import SivoError

_ENTITY_TAG = re.compile(r'\s*(?:W/)?"(\d{1,18})"\s*')


def etag(version: int) -> str:
    """The entity tag of ``version``."""
    return f'"{version}"'


def if_match(header: str | None) -> int | None:
    """The version that an If-Match header names; None when it is absent or ``*``. Raises VALIDATION_FAILED."""
    if header is None or header.strip() == "*":
        return None
    found = _ENTITY_TAG.fullmatch(header)
    if found is None:
        raise SivoError(
            "VALIDATION_FAILED",
            "If-Match does not hold one ETag of this resource",
            where="header If-Match",
            remedy="send the ETag that GET answered",
        )
    return int(found[1])
