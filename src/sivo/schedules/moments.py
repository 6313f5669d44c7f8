"""The moment that "what happens at …?" asks about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from sivo.base.errors import SivoError


def moment(text: str | None, zone: ZoneInfo, now: datetime) -> datetime:
    """An instant from ISO 8601; without an offset it is by the wall clock of ``zone``, and nothing means now.

    Raises VALIDATION_FAILED.
    """
    if text is None:
        return now
    try:
        # In a query a plus of an offset arrives as a blank.
        found = datetime.fromisoformat(text.strip().replace(" ", "+") if "T" in text else text.strip())
        found = found if found.tzinfo else found.replace(tzinfo=zone)
        found = found.astimezone(UTC)
        if not timedelta(days=-36500) < found - now < timedelta(days=36500):
            raise ValueError("too far away")
    except (ValueError, OverflowError):
        raise SivoError(
            "VALIDATION_FAILED",
            f"{text[:60]!r} is no time",
            where="query.time",
            remedy="send a time such as 2026-12-24T13:30 (by the schedule's own clock) or 2026-12-24T12:30:00Z",
        ) from None
    return found
