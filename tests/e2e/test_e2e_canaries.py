"""Secrets that were entered where a user enters them, used on calls with faults, and then searched for everywhere."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import asyncpg
import pytest

from support.ai_desk import Caller, Desk, clip, open_desk
from support.canaries import Canaries
from support.company import Company
from support.kills import back, kill, superuser_dsn
from support.place_to_hurt import Place
from support.provider_double import BROKEN, LLM, TTS, Double
from support.raw_phone import RawPhone
from support.running_node import Node

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: Where a prompt stands by design: the resource and its history.
_PROMPT_PLACES = {"resource.body", "ledger_change.before", "ledger_change.after", "ledger_entry.canonical"}
#: Where what was said stands by design, until it expires.
_WORD_PLACES = {"segment.text", "turn.user_text", "turn.reply_text", "outbox.data", "webhook_delivery.body"}


async def _login(node: Node, slug: str, email: str, password: str) -> int:
    url = f"http://127.0.0.1:{node.platform.ports.http}/auth/login"
    body = {"email": email, "password": password, "tenant": slug}
    async with aiohttp.ClientSession() as session, session.post(url, json=body) as answer:
        return answer.status


async def columns_with(node: Node, needle: str) -> set[str]:
    """Every column of every table in which ``needle`` stands, in text, JSON, or bytes; read behind the policies."""
    connection = await asyncpg.connect(superuser_dsn(node))
    try:
        columns = await connection.fetch(
            """select table_name, column_name from information_schema.columns
                where table_schema not in ('pg_catalog', 'information_schema')"""
        )
        assert len(columns) > 100, "the database was really enumerated"
        found = set()
        for table, column in columns:
            # A cast of bytea to text gives hex; both forms are looked for.
            query = f'select count(*) from "{table}" where "{column}"::text like $1 or "{column}"::text like $2'
            if await connection.fetchval(query, f"%{needle}%", f"%{needle.encode().hex()}%"):
                found.add(f"{table}.{column}")
        return found
    finally:
        await connection.close()


async def test_no_secret_is_found_anywhere(double: Double, place: Place) -> None:
    node, sink = place.node, place.sink
    canaries = Canaries()
    prompt, word = "canary-prompt-5b1c", "canary-word-9d2e"
    desk = await open_desk(node, double, agent={"prompt": f"You know that {prompt} is the word."})
    company = Company(node, desk.tenant_id, "", desk.sip_domain, desk.number)
    canaries.add("provider key", desk.account.key)
    sip, trunk, login = canaries.plant("sip"), canaries.plant("trunk"), canaries.plant("login")
    canaries.add("webhook secret", sink.secret)
    await company.make("extensions", {"number": "201", "sip_password": sip})
    carrier = {"username": "u", "password": trunk, "host": "127.0.0.1", "port": 37899, "outbound": [{"prefix": "+33"}]}
    await desk.api("PATCH", f"/api/trunks/{desk.ids['trunk']}", carrier)
    user = await company.make("users", {"email": "eve@example.com", "name": "Eve", "role": "admin"})
    await desk.api("POST", f"/api/users/{user['id']}/password", {"password": login})
    await company.make("recording-policies", {"name": "all"})
    await company.make("webhooks", sink.endpoint())
    await asyncio.sleep(1.0)

    errors = await _wrong_ways(desk.api, login, sip)
    slug = str((await desk.api("GET", "/api/config"))["tenant.slug"])
    assert [await _login(node, slug, "eve@example.com", word) for word in (login, login + "x")] == [200, 401]
    for password in (sip, sip + "x"):
        phone = await RawPhone.open("201", desk.sip_domain, password, company.sip)
        assert (await phone.register()).status == (200 if password == sip else 401)
        phone.close()
    trace = await _faulty_call(node, desk, word)

    said = node.platform.log_path.read_bytes()
    assert all(f'"role": "{role}"'.encode() in said for role in ("call", "worker", "media-0")), "all roles log there"
    assert canaries.in_bytes("log", said) == []
    assert canaries.in_bytes("trace", json.dumps(trace).encode()) == []
    assert canaries.in_bytes("errors", "\n".join(errors).encode()) == []
    assert canaries.in_bytes("history", json.dumps(await desk.api("GET", "/api/config/history")).encode()) == []
    assert canaries.in_bytes("events", b"\n".join(one.body for one in sink.arrived)) == []
    assert await canaries.in_database(superuser_dsn(node)) == []
    home = node.platform.home
    assert [path for path in (home / "objects").rglob("*") if path.is_file()], "something was stored"
    assert canaries.in_files(home / "objects") == []
    assert canaries.in_files(home / "journal") == []
    # Words are no secrets, but they have their places: a prompt in the configuration, what was said in the transcript.
    assert prompt.encode() not in said and prompt not in json.dumps(trace)
    assert word.encode() not in said
    assert await columns_with(node, prompt) <= _PROMPT_PLACES
    assert await columns_with(node, word) <= _WORD_PLACES
    assert "segment.text" in await columns_with(node, word), "the search finds what is there"


async def _wrong_ways(api: Callable[..., Awaitable[Any]], login: str, sip: str) -> list[str]:
    """Requests that are refused, each with a secret in it; what the API said."""
    said = []
    for method, path, body in (
        ("POST", "/api/extensions", {"number": "not a number", "sip_password": sip}),
        ("POST", "/api/extensions", {"number": "202", "sip_pasword": sip}),
        ("PUT", "/api/secrets/stt_api_key", {"value": sip, "base_url": "not a url"}),
        ("PUT", "/api/secrets/stt_api_key", {"value": [sip], "host": "127.0.0.1"}),
        ("POST", "/api/users/" + login + "/password", {"password": login}),
        ("PATCH", "/api/config", {"webhooks.signing_secret": [login]}),
    ):
        with pytest.raises(RuntimeError) as raised:
            await api(method, path, body)
        said.append(str(raised.value).partition(": ")[2])
    return said


async def _faulty_call(node: Node, desk: Desk, word: str) -> dict[str, Any]:
    """A call on which the model fails, then synthesis, while the worker is killed; its trace once all is delivered."""
    desk.account.heard = [f"where is my {word}"] * 20
    desk.account.replies = [f"Your {word} comes."]
    caller = await Caller.dial(desk)
    await caller.until(lambda: caller.heard(), "the greeting")
    await asyncio.sleep(1.0)
    await caller.say(clip("en_order_slt"))
    await asyncio.sleep(3.0)
    kill(node, "worker")
    desk.account.fail(LLM, BROKEN)
    await caller.say(clip("en_order_slt"))
    await asyncio.sleep(2.0)
    desk.account.fail(TTS, BROKEN)
    await caller.say(clip("en_order_slt"))
    await asyncio.sleep(2.0)
    await caller.close()
    await back(node, "worker")
    trace = await desk.trace(caller.number)
    company = Company(node, desk.tenant_id, "", desk.sip_domain, desk.number)
    await company.recorded(str(trace["call"]["id"]))
    deadline = time.monotonic() + 30
    while True:
        trace = await desk.api("GET", f"/api/calls/{trace['call']['id']}/trace")
        types = {one["type"] for one in trace["deliveries"] if one["state"] == "delivered"}
        if {"call.ended", "call.recorded"} <= types:
            return dict(trace)
        assert time.monotonic() < deadline, trace["deliveries"]
        await asyncio.sleep(0.2)
