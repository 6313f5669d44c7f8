"""Trunks as they live: health by OPTIONS, our registration with its refresh, digest towards the carrier, the fuse."""

from __future__ import annotations

import asyncio
import re

import pytest
from call_house import House

from sivo.calls import trunk_watch
from support.raw_phone import Message, RawPhone, sdp

CHALLENGE = 'WWW-Authenticate: Digest realm="carrier", nonce="n{}", algorithm=MD5, qop="auth"\r\n'


class Carrier(RawPhone):
    """Answers OPTIONS, wants a digest for REGISTER and INVITE, and grants two seconds."""

    alive = True
    status = 200
    seen = 0

    def _as_callee(self, request: Message) -> None:
        if not self.alive:
            return
        if request.method == "OPTIONS":
            self.reply(request, self.status, "Options")
        elif request.method in ("REGISTER", "INVITE") and "authorization" not in request.headers:
            self.seen += 1
            self.reply(request, 401, "Unauthorized", CHALLENGE.format(self.seen))
        elif request.method == "REGISTER":
            self.reply(request, 200, "OK", f"Contact: {request.headers['contact']};expires=2\r\n")
        elif request.method == "INVITE":
            self.answer(request, 200, "OK", sdp(self.host, 4000))
        else:
            super()._as_callee(request)

    def reply(self, request: Message, status: int, reason: str, extra: str = "") -> None:
        vias = "".join(f"Via: {via}\r\n" for via in request.vias)
        to = request.headers["to"] + ("" if "tag=" in request.headers["to"] else ";tag=carrier")
        self.send(
            f"SIP/2.0 {status} {reason}\r\n{vias}From: {request.headers['from']}\r\nTo: {to}\r\n"
            f"Call-ID: {request.headers['call-id']}\r\nCSeq: {request.headers['cseq']}\r\n{extra}"
            "Content-Length: 0\r\n\r\n"
        )

    def count(self, method: str) -> int:
        return sum(not m.status and m.method == method for m in self.inbox)


async def carrier(house: House) -> Carrier:
    made = await Carrier.open("carrier", "carrier.example", "", house.sip, "127.0.0.9")
    assert isinstance(made, Carrier)
    house.phones.append(made)
    await house.create(
        "trunk",
        {
            "name": "out",
            "host": "127.0.0.9",
            "port": made.port,
            "username": "acme",
            "password": "carrier-word",
            "register_there": True,
            "outbound": [{"prefix": "+"}],
            "countries": ["44"],
        },
    )
    await house.settled(lambda: len(house.node.services.directory.current.trunks_of(house.tenant)) == 2)
    return made


async def test_health_registration_and_calls_of_a_trunk(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trunk_watch, "INTERVAL", 1.0)
    monkeypatch.setattr(trunk_watch, "PATIENCE", 0.7)
    made = await carrier(house)
    state = "select * from trunk_state where health = $1 and registration = $2"
    row = await house.until(state, "up", "registered", timeout=10)
    assert row["reason"] == "200 Options"
    assert row["round_trip_ms"] < 700
    register = [m for m in made.inbox if m.method == "REGISTER" and not m.status][1]
    assert re.search(r'username="acme", realm="carrier"', register.headers["authorization"])
    assert "carrier-word" not in str(register)
    before = made.count("REGISTER")
    await house.settled(lambda: made.count("REGISTER") > before, timeout=6)  # refreshed before the end

    phone = await house.phone("100")
    assert (await phone.invite("00442071234567", 4000)).status == 200
    assert [m.headers.get("authorization", "")[:6] for m in made.inbox if m.method == "INVITE"] == ["", "Digest"]
    assert (await phone.bye()).status == 200
    await made.wait("BYE")
    refused = await house.phone("100")
    assert (await refused.invite("0035312345678", 4000)).status == 403  # not a country of the list

    made.status = 503
    assert (await house.until(state, "down", "registered", timeout=10))["reason"] == "503 Options"
    made.alive = False
    await house.until("select 1 from trunk_state where reason = 'no answer to OPTIONS'", timeout=15)
    made.alive, made.status = True, 200
    await house.until(state, "up", "registered", timeout=30)


async def test_the_fuse_blows_and_says_so(house: House) -> None:
    made = await carrier(house)
    fuse = house.node.services.fuse
    fuse.per_minute, fuse.at_a_time = 2, 1
    first = await house.phone("100")
    assert (await first.invite("00442071234567", 4000)).status == 200
    second = await house.phone("101")
    answer = await second.invite("00442071234568", 4002)
    assert (answer.status, "retry-after" in answer.headers) == (503, True)
    assert (await first.bye()).status == 200
    await made.wait("BYE")
    await asyncio.sleep(0.1)
    third = await house.phone("101")
    assert (await third.invite("00442071234569", 4002)).status == 200
    assert (await third.bye()).status == 200
    fourth = await house.phone("100")
    assert (await fourth.invite("00442071234567", 4000)).status == 503  # the third within a minute
    await house.until("select 1 from call where hangup_cause = 'outbound_fuse' and finished")
    rows = await house.fetch("select hangup_class from call where hangup_cause = 'outbound_fuse'")
    assert {row["hangup_class"] for row in rows} == {"operator"}
