"""The end of a call: what media counted, the CDR, the journal's fate, and then it is forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from sivo.base import logs
from sivo.base.clock import Clock
from sivo.base.errors import SivoError
from sivo.calls import quality
from sivo.calls.call import Call
from sivo.calls.causes import Cause
from sivo.calls.media_session import CALLER, CLOSE_SECONDS
from sivo.calls.rows import EndRow
from sivo.calls.seating import leg_id_of

log = logs.get("calls")


class Ending:
    """Finishes calls. ``forget`` is told when nothing more will come of one; ``salvage`` when media left its journal
    behind without closing it."""

    def __init__(self, clock: Clock, forget: Callable[[Call], None], salvage: Callable[[Call], None]) -> None:
        self._clock = clock
        self._forget = forget
        self._salvage = salvage

    async def end(self, call: Call, cause: Cause, by: str, detail: str) -> None:
        """Write the CDR as soon as media has counted, or cannot any more."""
        ended_at = self._clock.now()
        duration_ms = 0
        if call.answered_mono is not None:
            duration_ms = round((self._clock.monotonic() - call.answered_mono) * 1000)
        closed = await _closed(call)
        stats = {name: value for name, value in (closed or {}).items() if name != "journal"}
        if call.media is not None and call.media.left and "legs" in stats:
            stats["legs"] = {**call.media.left, **stats["legs"]}
        for leg_id, outcome in _legs(call):
            call.writer.leg_state(leg_id, outcome, ended_at=ended_at)
        call.writer.ended(
            EndRow(
                ended_at=ended_at,
                duration_ms=duration_ms,
                cause=cause.name,
                category=cause.category,
                by=by,
                detail=detail,
                mos=_mos(stats),
                stats={"media": stats, "quality": quality.of_legs(stats)} if stats else {},
                config_reads=call.config_reads(),
            )
        )
        if call.media is not None and closed is None:
            self._salvage(call)
            return
        call.writer.finished(
            call.journal_path if call.media is not None else None,
            call.capture.fate(),
            call.capture.transcription.capture,
        )
        log.info("call ended", tenant=str(call.tenant.id), call=str(call.id), cause=cause.name, by=by, ms=duration_ms)
        self._forget(call)


async def _closed(call: Call) -> dict[str, Any] | None:
    """What media said at the end of the session; None when it can say nothing any more."""
    if call.media is None:
        return None
    future = call.media.closed
    if future is None:
        return None
    try:
        return await asyncio.wait_for(asyncio.shield(future), CLOSE_SECONDS)
    except (SivoError, TimeoutError):
        return None


def _legs(call: Call) -> list[tuple[Any, str]]:
    found: list[tuple[Any, str]] = []
    if call.caller_leg_id is not None:
        found.append((call.caller_leg_id, "ended" if call.answered_mono is not None else "refused"))
    found += [(leg_id_of(call, leg), "ended") for leg in call.seats.values() if leg is not None]
    found += [(branch.id, f"{branch.final or 487}") for fork in call.former for branch in fork.branches]
    for branch in call.callee.branches if call.callee else ():
        outcome = "ended" if branch is (call.callee.winner if call.callee else None) else f"{branch.final or 487}"
        found.append((branch.id, outcome))
    return found


def _mos(stats: dict[str, Any]) -> float | None:
    legs = stats.get("legs")
    return quality.mos(legs.get(CALLER, {})) if isinstance(legs, dict) else None
