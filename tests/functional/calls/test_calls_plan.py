"""A plan says what a change would have done to calls that were made, and then it is so: change, call again, compare."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from call_house import DID, House

from sivo.calls.past_calls import last_calls
from support.rtp_phone import RtpPhone
from support.running_api import RunningApi, running_api


@asynccontextmanager
async def api_of(house: House) -> AsyncIterator[RunningApi]:
    """The public API beside the call role."""
    async with running_api(house.settings, house.database) as api:
        yield api


async def call_agent(house: House, turns: int = 2) -> dict[str, Any]:
    """Extension 100 calls the agent, has ``turns`` turns with it; the call's row when all is written."""
    phone = await house.phone("100")
    rtp = await RtpPhone.open("127.0.0.1")
    answer = await phone.invite(DID, rtp.port)
    if answer.status != 200:
        return await house.until("select * from call order by id desc limit 1")
    rtp.call("127.0.0.1", answer.rtp_port)
    rtp.start()
    for _ in range(turns):
        await asyncio.sleep(0.4)
        rtp.press("1")
    await asyncio.sleep(0.4)
    rtp.press("#")
    await phone.wait("BYE")
    await rtp.close()
    known = answer.headers["call-id"]
    return await house.until("select * from call where finished and sip_call_id = $1", known)


async def outcome(house: House, call: dict[str, Any]) -> dict[str, Any]:
    """What was done with a call, from its stored decisions."""
    rows = await house.fetch("select * from call_decision where call_id = $1 order by at, id", call["id"])
    last = {row["kind"]: row for row in rows}
    recording, words = last["recording"]["details"], last["transcription"]["details"]
    stored = await house.fetch("select * from recording where call_id = $1", call["id"])
    return {
        "recorded": bool(stored and stored[0]["wanted"]),
        "recording.format": recording["format"],
        "recording.retention_days": recording["retention_days"],
        "transcribed": words["capture"],
        "transcription.language": words["language"],
        "transcription.retention_days": words["retention_days"],
    }


async def settle(house: House, version: int) -> None:
    """Wait until the call role knows of ``version``."""

    def known() -> bool:
        tenant = house.node.services.directory.current.tenant(house.tenant)
        return tenant is not None and tenant.version >= version

    await house.settled(known)


async def test_what_a_plan_says_of_a_call_is_what_happens_to_the_next(house: House) -> None:
    first = await call_agent(house)
    before = await outcome(house, first)
    async with api_of(house) as api:
        patch = {"recording.default_retention_days": 12, "transcription.policy_retention_days": 5}
        policies = (await api.ok("GET", "/api/recording-policies", tenant=house.tenant))["items"]
        text = (await api.local.get("/api/config/export", headers={"X-Tenant-Id": str(house.tenant)})).text
        keys = "".join(f"  {name}: {value}\n" for name, value in patch.items())
        changed_text = text.replace("keys:\n", f"keys:\n{keys}")
        changed_text = changed_text.replace(
            "  recording-policies:\n  - id:", "  recording-policies:\n  - format: ogg\n    id:"
        )
        plan = await api.ok("POST", "/api/config/plan", {"document": changed_text}, house.tenant)
        assert plan["ok"] and len(policies) == 1
        assert plan["replay"]["calls"] == 1
        told = plan["replay"]["changed"][0]
        assert told["call_id"] == str(first["id"])
        said = {one["what"]: (one["now"], one["after"]) for one in told["changes"]}
        assert set(said) == {"recording.format", "recording.retention_days", "transcription.retention_days"}
        assert all(before[what] == now for what, (now, _) in said.items()), "what it says of now is what was"
        reason = {"X-Change-Reason": "as planned"}
        body = {"document": changed_text, "plan": plan["plan"]}
        entry = await api.ok("POST", "/api/config/apply", body, house.tenant, headers=reason)
    await settle(house, entry["version"])
    after = await outcome(house, await call_agent(house))
    assert {what: after[what] for what in said} == {what: new for what, (_, new) in said.items()}
    assert {what: value for what, value in after.items() if what not in said} == {
        what: value for what, value in before.items() if what not in said
    }


async def test_limits_routes_and_policies_are_replayed_and_the_rest_says_why_not(house: House) -> None:
    first = await call_agent(house)
    async with api_of(house) as api:

        async def plan(**patch: Any) -> dict[str, Any]:
            sent = {"patch": {name.replace("__", "."): value for name, value in patch.items()}}
            return dict(await api.ok("POST", "/api/config/plan", sent, house.tenant))

        cut = await plan(ai__max_turns=1)
        assert cut["replay"]["changed"][0]["changes"] == [
            {"what": "cut_off", "now": None, "after": "max_turns after turn 1"}
        ]
        assert (await plan(ai__max_turns=2))["replay"]["changed"] == [], "it ended by itself with its second turn"
        model = await plan(ai__stt_model="nova-3", webhooks__timeout_ms=900, ai__barge_in_cooldown_ms=100)
        assert model["replay"]["changed"][0]["changes"][0]["what"] == "ai.stt_model"
        assert {one["what"] for one in model["not_replayable"]} == {"webhooks.timeout_ms", "ai.barge_in_cooldown_ms"}
        assert all(one["reason"] for one in model["not_replayable"])
        broken = await plan(auth__refresh_ttl_sec=4000)
        assert broken["ok"] is False and broken["problem"]["code"] == "CONFIG_RULE_BROKEN"

        export = await api.local.get("/api/config/export", headers={"X-Tenant-Id": str(house.tenant)})
        moved = export.text.replace(
            f"    target:\n      id: {house.ids['agent']}\n      kind: ai_agent",
            f"    target:\n      id: {house.ids['101']}\n      kind: extension",
        )
        rerouted = await api.ok("POST", "/api/config/plan", {"document": moved}, house.tenant)
        told = rerouted["replay"]["changed"][0]
        assert told["if_answered"] is True and told["call_id"] == str(first["id"])
        assert told["changes"][0]["what"] == "route"
        assert (told["changes"][0]["now"], told["changes"][0]["after"]) == ("ai_agent Ada", "extension 101")

        for one in (await api.ok("GET", "/api/recording-policies", tenant=house.tenant))["items"]:
            await api.ok("PATCH", f"/api/recording-policies/{one['id']}", {"active": False}, house.tenant)
        on_again = export.text
        replayed = (await api.ok("POST", "/api/config/plan", {"document": on_again}, house.tenant))["replay"]
        assert {"what": "recorded", "now": False, "after": True}.items() <= replayed["changed"][0]["changes"][0].items()
        stale = await api.local.post(
            "/api/config/apply",
            json={"document": moved, "plan": rerouted["plan"]},
            headers={"X-Tenant-Id": str(house.tenant)},
        )
        assert (stale.status_code, stale.json()["code"]) == (409, "PLAN_STALE")


async def test_a_past_call_explains_its_values_whatever_was_changed_since(house: House) -> None:
    await house.set("ai.max_turns", 9)
    await asyncio.sleep(0.3)
    call = await call_agent(house, turns=1)
    await house.set("ai.max_turns", 3)
    async with api_of(house) as api:
        told = await api.ok("GET", f"/api/calls/{call['id']}/config?key=ai.max_turns", tenant=house.tenant)
        assert (told["value"], told["level"], told["author"], told["read"]) == (9, "tenant", "test", True)
        assert told["levels"][0]["value"] == 9 and told["levels"][0]["locked"] is False
        every = await api.ok("GET", f"/api/calls/{call['id']}/config", tenant=house.tenant)
        assert every["ai.stt_provider"]["value"] == "local" and "auth.jwt_ttl_sec" not in every
        trace = await api.ok("GET", f"/api/calls/{call['id']}/trace", tenant=house.tenant)
        read = next(one for one in trace["configuration"] if one["key"] == "ai.max_turns")
        assert (read["value"], read["author"], read["levels"][0]["reason"]) == (9, "test", "test")


async def test_a_call_that_nobody_made_is_explained_rule_by_rule(house: House) -> None:
    async with api_of(house) as api:
        query = f"/api/explain/call?from=100&to={DID.replace('+', '%2B')}"
        told = (await api.ok("GET", query, tenant=house.tenant))["decisions"]
        assert told["route"] == {"value": "ai_agent Ada", "rule": "extension.did"}
        assert told["recorded"]["value"] is True and told["recorded"]["rule"].startswith("policy ")
        assert told["recording.retention_days"] == {"value": 180, "rule": "key recording.default_retention_days"}
        early = await api.ok("GET", query + "&at=2", tenant=house.tenant)
        assert early["decisions"]["route"]["value"] == "refused 404 Not Found" and early["version"] == 2
        outside = await api.ok("GET", query.replace("from=100", "from=600") + "&trunk=carrier", tenant=house.tenant)
        assert outside["decisions"]["route"]["rule"] == "trunk.did"


async def test_five_hundred_calls_are_replayed_within_two_seconds(house: House) -> None:
    call = await call_agent(house, turns=1)
    async with house.database.platform("test: many calls") as conn:
        columns = [
            row["column_name"]
            for row in await conn.fetch(
                "select column_name from information_schema.columns where table_name = 'call' and column_name <> 'id'"
            )
        ]
        names = ", ".join(columns)
        await conn.execute(
            f"insert into call (id, {names}) select gen_random_uuid(), {names} from call, generate_series(1, 499)"
            " where id = $1",
            call["id"],
        )
    async with api_of(house) as api:
        body = {"patch": {"transcription.policy_retention_days": 5}, "calls": 500}
        started = time.perf_counter()
        plan = await api.ok("POST", "/api/config/plan", body, house.tenant)
        took = time.perf_counter() - started
    assert plan["replay"]["calls"] == len(plan["replay"]["changed"]) == 500
    assert took < 6, f"{took:.2f} s for what should take 2 s"
    async with house.database.tenant(house.tenant) as conn:
        assert len(await last_calls(conn, 10)) == 10
