"""Who answers a DID at an instant: gates, ring groups, what is gone, and what every part of it pins. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from sivo.calls import replay
from sivo.routing import answering, decide, targets
from sivo.routing.directory import Agent, Did, Directory, Extension, RingGroup, Tenant, TenantPicture, Trunk
from sivo.routing.pinning import _reached
from sivo.routing.resources import Did as DidBody
from sivo.routing.target_body import Target
from sivo.routing.target_spec import TargetSpec, spec_of
from sivo.schedules.hours import Hours, Schedule

TENANT = Tenant(uuid4(), "acme", ("acme.example",), "Europe/Madrid", 1)
AGENT = Agent(uuid4(), TENANT.id, "Ada", {})
ONE, TWO = (Extension(uuid4(), TENANT.id, number) for number in ("100", "101"))
OFFICE = Schedule(uuid4(), TENANT.id, "Office", ZoneInfo("Europe/Madrid"), (Hours(540, 1080),) * 5 + (None, None))
TRUNK = Trunk(uuid4(), TENANT.id, "carrier", ())
OPEN, CLOSED = datetime(2026, 6, 1, 10, tzinfo=UTC), datetime(2026, 6, 1, 20, tzinfo=UTC)


def to(one: Any, open_: TargetSpec | None = None, closed: TargetSpec | None = None) -> TargetSpec:
    kinds = {Agent: "ai_agent", Extension: "extension", RingGroup: "ring_group", Schedule: "schedule"}
    return TargetSpec(kinds[type(one)], one.id, open_, closed)


SALES = RingGroup(uuid4(), TENANT.id, "Sales", (TWO.id, ONE.id, uuid4()), "in_order", 15.0, to(AGENT))
EMPTY = RingGroup(uuid4(), TENANT.id, "Empty", (uuid4(),))


def did(spec: TargetSpec) -> Did:
    return Did(uuid4(), TENANT.id, "+34910000001", TRUNK.id, spec.kind, spec.id, "", spec.open, spec.closed)


def picture(spec: TargetSpec, *groups: RingGroup) -> TenantPicture:
    return TenantPicture(
        TENANT, (ONE, TWO), (TRUNK,), (did(spec),), (AGENT,), schedules=(OFFICE,), ring_groups=(SALES, EMPTY, *groups)
    )


def answer(spec: TargetSpec, at: datetime, *groups: RingGroup) -> answering.Answer:
    made = picture(spec, *groups)
    return answering.of_did(Directory([made]), made.dids[0], at)


def test_a_gate_leads_to_one_target_within_its_hours_and_to_the_other_outside() -> None:
    spec = to(OFFICE, to(SALES), to(TWO))
    found, late = answer(spec, OPEN), answer(spec, CLOSED)
    assert found.target == targets.ToGroup(SALES, (TWO, ONE), targets.ToAgent(AGENT))
    assert late.target == targets.ToExtension(TWO)
    assert [gate.verdict.open for gate in (*found.gates, *late.gates)] == [True, False]
    assert found.reason == (
        "Office: weekly hours of 2026-06-01 (mon) are 09:00-18:00; ring group Sales rings 101, 100 in order; "
        "if nobody answers: AI agent Ada answers"
    )
    shut = answer(to(OFFICE, to(SALES)), CLOSED)
    assert shut.target == targets.CLOSED and "nobody answers out of hours" in shut.reason


def test_what_is_gone_is_refused_and_no_circle_is_followed_for_ever() -> None:
    assert answer(TargetSpec("schedule", uuid4(), to(ONE)), OPEN).target == targets.NOBODY
    assert answer(to(OFFICE, TargetSpec("ring_group", uuid4())), OPEN).target == targets.NOBODY
    assert answer(to(EMPTY), OPEN).target == targets.ToGroup(EMPTY, (), targets.NOBODY)
    circle = RingGroup(uuid4(), TENANT.id, "Round", (ONE.id,))
    circle = replace(circle, no_answer=to(circle))
    rung = list(targets.chain(answer(to(circle), OPEN, circle).target))
    assert len(rung) == answering.MOST_GROUPS + 1 and rung[-1] == targets.NOBODY


def test_the_decision_says_at_which_instant_and_by_which_schedules() -> None:
    made = picture(to(OFFICE, to(SALES), to(AGENT)))
    route = decide.from_trunk(Directory([made]), made.dids[0], TRUNK, "+34600", OPEN)
    assert (route.outcome(), route.rule) == ("ring_group", "trunk.did+schedule.weekly")
    details = route.details()
    assert details["at"] == "2026-06-01T10:00:00+00:00"
    assert [(one["name"], one["open"], one["rule"]) for one in details["schedules"]] == [("Office", True, "weekly")]
    assert details["target"]["extensions"] == ["101", "100"] and details["target"]["no_answer"]["name"] == "Ada"
    inside = decide.from_extension(Directory([made]), ONE, "+34910000001", CLOSED)
    assert (inside.outcome(), inside.rule, inside.at) == ("ai_agent", "extension.did+schedule.weekly", CLOSED)
    passed = decide.transfer(Directory([made]), TENANT.id, "+34910000001", OPEN, from_trunk=True)
    assert isinstance(passed, targets.ToGroup)


def test_a_replay_tells_where_calls_would_have_gone_at_their_own_time() -> None:
    call = replay.PastCall(
        id=uuid4(), at=OPEN, direction="inbound", from_number="600", to_number="+34910000001", trunk_id=TRUNK.id,
        answered=False, turns=0, talked_ms=0, exit_reason="", reads=frozenset(),
    )  # fmt: skip
    now, after = (Directory([picture(spec)]) for spec in (to(SALES), to(OFFICE, to(ONE), to(TWO))))
    routes = [decide.from_trunk(one, next(iter(one.pictures.values())).dids[0], TRUNK, "600", at)
              for one in (now, after) for at in (call.at, CLOSED)]  # fmt: skip
    assert [replay._target(route.target) for route in routes] == [
        "ring_group Sales (101, 100; in_order, 15 s), then ai_agent Ada",
        "ring_group Sales (101, 100; in_order, 15 s), then ai_agent Ada",
        "extension 100",
        "extension 101",
    ]


def test_every_agent_that_a_did_may_reach_has_a_pinned_configuration() -> None:
    groups = {SALES.id: SALES}
    assert _reached(to(OFFICE, to(SALES), to(ONE)), groups) == {AGENT.id}
    assert _reached(to(ONE), groups) == set() == _reached(None, groups)


def body(kind: str, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "id": str(UUID(int=1)), **more}


def test_targets_are_written_as_they_were_and_read_back() -> None:
    plain = body("extension")
    did = DidBody.model_validate({"number": "+34910000001", "target": plain})
    assert did.model_dump(mode="json")["target"] == plain
    gate = body("schedule", open=body("ring_group"), out_of_hours=body("schedule", open=plain))
    assert Target.model_validate(gate).model_dump(mode="json") == gate
    spec = spec_of(gate)
    assert spec is not None and [one.kind for one in spec.all()] == ["schedule", "ring_group", "schedule", "extension"]


DEEP = body("schedule", open=body("schedule", open=body("schedule", open=body("schedule", open=body("extension")))))


@pytest.mark.parametrize("wrong", [body("schedule"), body("extension", open=body("extension")), body("queue"), DEEP])
def test_what_is_no_target_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Target.model_validate(wrong)
