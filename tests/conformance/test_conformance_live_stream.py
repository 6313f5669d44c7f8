"""A supervisor looks on at a call between two people: interim text before the final, its end, tenants apart."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from support.ai_desk import clip
from support.people_desk import CALLER, PERSON, Team, talk, team, words
from support.running_node import Node
from support.stored_words import CALLER_VOICE, PERSON_VOICE, VOICES
from support.vendor_world import Vendors

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def _events(answer: aiohttp.ClientResponse) -> list[tuple[str, dict[str, Any]]]:
    """Everything until the stream ends."""
    found: list[tuple[str, dict[str, Any]]] = []
    name = ""
    async for line in answer.content:
        field, _, value = line.decode().rstrip("\n").partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            found.append((name, json.loads(value)))
    return found


async def test_interim_text_is_seen_before_the_final(node: Node, vendors: Vendors) -> None:
    socket = str(node.platform.home / "run" / "api.sock")
    async with (
        team(node, vendors, {"transcription.engine": "deepgram"}) as one,
        aiohttp.ClientSession("http://localhost", connector=aiohttp.UnixConnector(socket)) as http,
    ):
        one.account.script.stt = VOICES
        await one.api("POST", "/api/transcription-policies", {"name": "all"})
        await asyncio.sleep(1.0)
        seen: list[asyncio.Task[list[tuple[str, dict[str, Any]]]]] = []

        async def look_on() -> None:
            call_id = await _running(one)
            headers = {"X-Tenant-Id": one.tenant_id}
            stranger = {"X-Tenant-Id": node.tenant.tenant_id}
            async with http.get(f"/api/calls/{call_id}/live", headers=stranger) as refused:
                assert refused.status == 404
            answer = await http.get(f"/api/calls/{call_id}/live", headers=headers)
            assert (answer.status, answer.content_type) == (200, "text/event-stream")
            seen.append(asyncio.create_task(_events(answer)))

        trace = await talk(one, clip(CALLER_VOICE), clip(PERSON_VOICE), between=look_on)
        events = await asyncio.wait_for(seen[0], 10)
        assert events[0] == ("call.state", {"callId": trace["call"]["id"], "state": "bridged"})
        assert events[-1] == ("call.state", {"callId": trace["call"]["id"], "state": "ended"})
        said = [(name, data["text"]) for name, data in events if data.get("speaker") == "agent"]
        finals = [place for place, (name, _) in enumerate(said) if name == "transcript.final"]
        assert said[0][0] == "transcript.interim" and finals and finals[0] > 0, said
        assert " ".join(said[place][1] for place in finals) == PERSON
        assert said[0][1] and PERSON.startswith(said[0][1].split()[0]), "the interim is the beginning of the same words"
        stored = await words(one, trace, "caller", "agent")
        assert stored == {"caller": CALLER, "agent": PERSON}, "and the same words are stored"
        async with http.get(f"/api/calls/{trace['call']['id']}/live", headers={"X-Tenant-Id": one.tenant_id}) as over:
            assert (over.status, (await over.json())["code"]) == (409, "CALL_NOT_RUNNING")


async def _running(one: Team) -> str:
    calls = (await one.api("GET", "/api/calls"))["items"]
    return str(next(call["id"] for call in calls if call["state"] != "ended"))
