"""Cursor pages: a listing is read forward by an opaque cursor, never by offset, so rows that arrive do not shift it."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import Query

from sivo.base.errors import SivoError

DEFAULT_LIMIT = 50
MAX_LIMIT = 200

Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Rows in one page.")]
Cursor = Annotated[str | None, Query(max_length=512, description="`next` of the page before.")]

Row = TypeVar("Row")


def encode(position: Sequence[Any]) -> str:
    """An opaque cursor for the sort key of the last row of a page (JSON values)."""
    return base64.urlsafe_b64encode(json.dumps(list(position), separators=(",", ":")).encode()).decode().rstrip("=")


def decode(cursor: str | None, length: int) -> list[Any] | None:
    """The sort key that :func:`encode` was given; None without a cursor. Raises VALIDATION_FAILED."""
    if cursor is None:
        return None
    try:
        position = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError) as error:
        raise _refused() from error
    if not isinstance(position, list) or len(position) != length:
        raise _refused()
    return position


def decode_id(cursor: str | None) -> UUID | None:
    """The UUID in a cursor of a listing that is sorted by id alone. Raises VALIDATION_FAILED."""
    position = decode(cursor, 1)
    try:
        return UUID(position[0]) if position else None
    except (ValueError, TypeError, AttributeError) as error:
        raise _refused() from error


def page(rows: Sequence[Row], limit: int, key: Callable[[Row], Sequence[Any]]) -> dict[str, Any]:
    """``{"items": […], "next": cursor|null}`` from up to ``limit + 1`` rows; ``key`` gives a row's sort key."""
    shown = list(rows[:limit])
    following = encode(key(shown[-1])) if len(rows) > limit and shown else None
    return {"items": shown, "next": following}


def _refused() -> SivoError:
    return SivoError(
        "VALIDATION_FAILED", "this is not a cursor of this listing", where="query.cursor", remedy="start without one"
    )
