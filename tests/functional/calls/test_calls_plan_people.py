"""What a plan says of calls between people is what happens to the next ones: plan, change, call again, compare."""

from __future__ import annotations

from typing import Any

from call_desk import desk
from call_house import AUTHOR, DID_TO_EXTENSION, House
from test_calls_plan import api_of, settle

from support.raw_phone import RawPhone
from support.running_api import RunningApi

OUTSIDE = "+34600111222"
CALLERS = ("100", OUTSIDE)


async def _calls(house: House) -> dict[str, dict[str, Any]]:
    """One call between two extensions and one from outside; what was done with them, by caller."""
    inside = await house.phone("100")
    outside = await RawPhone.open(OUTSIDE, "carrier.example", "", house.sip, "127.0.0.8")
    house.phones.append(outside)
    assert (await inside.invite("101", 4000)).status == 200
    await inside.bye()
    assert (await outside.invite(DID_TO_EXTENSION, 4000, auth=False)).status == 200
    await outside.bye()
    made = (inside.call_id, outside.call_id)
    query = "select * from call where finished and sip_call_id = $1"
    rows = [await house.until(query, sip_call_id) for sip_call_id in made]
    return {number: await _outcome(house, row) for number, row in zip(CALLERS, rows, strict=True)}


async def _outcome(house: House, call: dict[str, Any]) -> dict[str, Any]:
    """Id, route and last decisions of a call in the words of a plan."""
    rows = await house.fetch("select * from call_decision where call_id = $1 order by at, id", call["id"])
    last = {row["kind"]: row["details"] for row in rows}
    (leg,) = await house.fetch("select peer from leg where call_id = $1 and kind = 'callee'", call["id"])
    found: dict[str, Any] = {"id": str(call["id"]), "route": f"extension {leg['peer'].split(':')[1].split('@')[0]}"}
    fields = {
        "recording": ("format", "retention_days", "provider_id", "kms", "expiry_action"),
        "transcription": ("engine", "language", "retention_days", "push_to_sf", "speaker_separation"),
    }
    for kind, word in (("recording", "recorded"), ("transcription", "transcribed")):
        found[word] = last[kind]["capture"]
        if found[word]:
            found |= {f"{kind}.{name}": last[kind][name] for name in fields[kind]}
    return found


async def _planned(api: RunningApi, house: House, edits: dict[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """What the plan prints by caller, and the body that applies it: the tenant's document with texts replaced."""
    text = (await api.local.get("/api/config/export", headers={"X-Tenant-Id": str(house.tenant)})).text
    for old, new in edits.items():
        assert text.count(old) == 1, (old, text)
        text = text.replace(old, new)
    plan = await api.ok("POST", "/api/config/plan", {"document": text, "calls": len(CALLERS)}, house.tenant)
    assert plan["ok"] and plan["replay"]["calls"] == len(CALLERS)
    return {one["from"]: one for one in plan["replay"]["changed"]}, {"document": text, "plan": plan["plan"]}


async def test_each_call_that_a_plan_prints_goes_so_when_it_is_made_again(house: House) -> None:
    person = await house.create("user", {"email": "ann@acme.example", "name": "Ann", "role": "agent"})
    await house.resources.update(house.tenant, "extension", house.ids["101"], {"user": str(person)}, author=AUTHOR)
    phones = [await desk(house, number) for number in ("100", "101")]
    keys = {
        "recording.default_format": "ogg",
        "recording.default_retention_days": "12",
        "transcription.engine": "whisper",
        "transcription.language": "fr",
        "transcription.speaker_separation": "false",
        "transcription.policy_retention_days": "5",
    }
    target = "    target:\n      id: {}\n      kind: extension"
    silent = f"  - active: false\n    name: not Ann\n    scope: agent\n    scope_id: {person}\n"
    rounds = [
        {"keys:\n": "keys:\n" + "".join(f"  {name}: {value}\n" for name, value in keys.items())},
        {
            target.format(house.ids["101"]): target.format(house.ids["100"]),
            "  recording-policies:\n": "  recording-policies:\n" + silent,
        },
    ]
    seen: set[str] = set()
    before = await _calls(house)
    async with api_of(house) as api:
        for edits in rounds:
            printed, body = await _planned(api, house, edits)
            reason = {"X-Change-Reason": "as planned"}
            entry = await api.ok("POST", "/api/config/apply", body, house.tenant, headers=reason)
            await settle(house, entry["version"])
            after = await _calls(house)
            for number in CALLERS:
                _as_printed(printed.get(number), before[number], after[number])
                seen |= {one["what"] for one in printed.get(number, {"changes": ()})["changes"]}
            before = after
    assert seen >= {"route", "recorded", "recording.format", "recording.retention_days"}
    assert seen >= {f"transcription.{name}" for name in ("engine", "language", "retention_days", "speaker_separation")}
    for one in phones:
        await one.close()


def _as_printed(printed: dict[str, Any] | None, before: dict[str, Any], after: dict[str, Any]) -> None:
    """Everything that differs between two calls was printed of the first one, and nothing else."""
    names = (before.keys() | after.keys()) - {"id"}
    differs = {name: (before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)}
    said = {one["what"]: (one["now"], one["after"]) for one in printed["changes"]} if printed else {}
    assert said == differs
    assert printed is None or printed["call_id"] == before["id"]
