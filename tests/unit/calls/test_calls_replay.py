"""Where limits would have ended past conversations, and what a replay does not claim to know."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from sivo.calls.replay import KIND_REASONS, KINDS, NOT_REPLAYABLE, REPLAYED, PastCall, cut_off, not_replayable
from sivo.config.all_kinds import load
from sivo.config.registry import KEYS

CALL = PastCall(
    id=uuid4(),
    at=datetime(2026, 1, 1, tzinfo=UTC),
    direction="inbound",
    from_number="600",
    to_number="+34910000100",
    trunk_id=None,
    answered=True,
    turns=5,
    talked_ms=60_000,
    exit_reason="agent_hangup",
    reads=frozenset(),
)


@pytest.mark.parametrize(
    ("turns", "talked_s", "exit_reason", "max_turns", "max_s", "said"),
    [
        (5, 60, "agent_hangup", 20, 600, None),
        (5, 60, "agent_hangup", 5, 600, None),
        (5, 60, "agent_hangup", 4, 600, "max_turns after turn 4"),
        (5, 60, "max_turns", 5, 600, "max_turns after turn 5"),
        (5, 60, "max_turns", 9, 600, "goes on"),
        (5, 60, "caller_hangup", 20, 59, "max_duration after 59 s"),
        (5, 61, "max_duration", 20, 60, "max_duration after 60 s"),
        (5, 61, "max_duration", 20, 90, "goes on"),
    ],
)
def test_limits_cut_where_they_would_have(
    turns: int, talked_s: int, exit_reason: str, max_turns: int, max_s: int, said: str | None
) -> None:
    call = replace(CALL, turns=turns, talked_ms=talked_s * 1000, exit_reason=exit_reason)
    found = cut_off(call, max_turns, max_s)
    assert found is None if said is None else (found or "").startswith(said)


def test_every_key_and_kind_is_replayed_or_says_why_not() -> None:
    told = {one["what"]: one["reason"] for one in not_replayable(KEYS, [])}
    assert set(told) == set(KEYS) - REPLAYED and all(told.values())
    assert set(NOT_REPLAYABLE) & REPLAYED == set()
    assert set(load()) - {"tenant"} == {*KINDS, *KIND_REASONS}
