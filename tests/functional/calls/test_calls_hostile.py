"""Scanners and guessers: no reply, no state, next to no work; slowed, banned, on record, lifted."""

from __future__ import annotations

import asyncio
import re
import socket
import time

import pytest
from call_house import PASSWORD, House

from sivo.calls import bans
from sivo.routing import guessing
from support.raw_phone import Message, RawPhone

#: What public scanners send: methods, user agents and names as honeypots report them.
SCANS = [
    ("OPTIONS", "100", "1.1.1.1", "friendly-scanner"),
    ("REGISTER", "1000", "127.0.0.1", "VaxSIPUserAgent/3.1"),
    ("INVITE", "900441904911010", "127.0.0.1", "pplsip"),
    ("INVITE", "+972592577956", "203.0.113.77", "sipcli/v1.8"),
    ("SUBSCRIBE", "admin", "sip.example.org", "eyeBeam"),
]


def scan(number: int, host: str) -> bytes:
    method, user, domain, agent = SCANS[number % len(SCANS)]
    return (
        f"{method} sip:{user}@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {host}:5071;branch=z9hG4bK-{number};rport\r\n"
        f'From: "sipvicious" <sip:{user}@{domain}>;tag={number:x}\r\nTo: "sipvicious" <sip:{user}@{domain}>\r\n'
        f"Call-ID: {number}\r\nCSeq: 1 {method}\r\nContact: <sip:{user}@{host}:5071>\r\nUser-Agent: {agent}\r\n"
        "Max-Forwards: 70\r\nAccept: application/sdp\r\nContent-Length: 0\r\n\r\n"
    ).encode()


async def test_a_minute_of_scanning_from_a_hundred_addresses(house: House) -> None:
    sip = house.node.services.sip
    sockets = []
    for number in range(100):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.bind((f"127.0.1.{number + 1}", 0))
        sockets.append(sock)
    before = sip.statistics["received"]
    for number in range(1000):
        sock = sockets[number % 100]
        sock.sendto(scan(number, sock.getsockname()[0]), house.sip)
        if number % 20 == 0:
            await asyncio.sleep(0.005)
    await house.settled(lambda: sip.statistics["received"] - before >= 1000)
    for sock in sockets:
        with pytest.raises(BlockingIOError):
            sock.recv(1)
        sock.close()
    # 150 a second for a minute; what the socket itself costs is the kernel's.
    data = [(scan(number, f"127.0.1.{number % 100}"), (f"127.0.1.{number % 100 + 1}", 5071)) for number in range(9000)]
    began = time.process_time()
    for message, source in data:
        sip.datagram_received(message, source)
    spent = time.process_time() - began
    print(f"\n9,000 scans: {spent * 1e6 / 9000:.1f} us each, {spent / 60:.3%} of a core at 150/s")
    assert spent < 0.6  # one per cent of a core for a minute
    assert sip.layer.active == {"server": 0, "client": 0, "answered": 0}
    assert sip.layer.next_timer() is None
    assert sip.statistics["sent"] == 0
    assert await house.fetch("select 1 from call") == []


async def guess(phone: RawPhone, password: str) -> Message | None:
    """REGISTER with ``password``: the answer, or None when there is none."""
    uri, aor = f"sip:{phone.domain}", f"sip:{phone.user}@{phone.domain}"
    mark = len(phone.inbox)
    phone.send(phone.request("REGISTER", uri, to=aor))
    challenge = await phone.wait(401, after=mark)
    mark = len(phone.inbox)
    header = phone.authorization(challenge, "REGISTER", uri, password=password)
    phone.send(phone.request("REGISTER", uri, to=aor, extra=header))
    try:
        async with asyncio.timeout(0.6):
            return await phone._final(mark, "REGISTER")
    except TimeoutError:
        return None


async def test_guessing_is_slowed_banned_recorded_and_lifted(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guessing, "MOST", 5)
    own = await house.phone("100")
    assert (await own.register()).status == 200
    guesser = await house.phone("100", host="127.0.0.66")
    for number in range(4):
        answer = await guess(guesser, f"wrong-{number}")
        assert answer is not None
        assert answer.status == 401
    assert await guess(guesser, "wrong-4") is None  # slowed: not even looked at
    assert house.node.services.sip.layer.active["server"] < 12
    await asyncio.sleep(1.1)
    assert await guess(guesser, "wrong-5") is not None
    await asyncio.sleep(0.1)
    assert await guess(guesser, PASSWORD) is None  # banned, even with the right one
    assert (await own.register()).status == 200  # the account's own phone is not locked out
    await house.until("select 1 from sip_ban where kind = 'account'")
    rows = await house.fetch("select * from sip_ban order by kind")
    assert [(row["kind"], row["subject"], row["attempts"]) for row in rows] == [
        ("account", "100", 5),
        ("source", "127.0.0.66", 5),
    ]
    assert not any(re.search("wrong|horse", str(value)) for row in rows for value in row.values())
    for row in rows:
        async with house.database.tenant(house.tenant) as conn:
            assert await bans.lift(conn, house.tenant, row["id"])
    heard = house.node.services.sip.statistics
    for _ in range(10):  # until the announcement has arrived
        answer = await guess(guesser, PASSWORD)
        if answer is not None:
            break
    assert answer is not None, heard
    assert answer.status == 200
