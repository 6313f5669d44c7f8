"""Calls over TCP, TLS and IPv6: registration, a call on the flow, addresses of the right family, audio both ways."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from pathlib import Path

from call_house import House
from secure_phone import StreamPhone

from support.raw_phone import sdp


async def test_a_phone_on_tcp_and_one_on_tls_call_each_other(open_house: House) -> None:
    house = open_house
    streams = house.node.services.sip.streams
    tcp, tls = streams.port("TCP"), streams.port("TLS")
    assert tcp == house.node.services.sip.local.port
    assert tls == tcp + 1
    context = ssl.create_default_context(cafile=Path(house.settings.home) / "tls" / "sip-development.crt")
    caller = await StreamPhone("100", house.domain, "correct-horse-battery", house.sip).connect(tcp)
    callee = await StreamPhone("101", house.domain, "correct-horse-battery", house.sip).connect(tls, context)
    house.phones += [caller, callee]
    callee.auto_answer, callee.rtp_port = 200, 4000
    assert (await callee.register()).status == 200
    answer = await caller.invite("101", 4002)
    assert answer.status == 200
    assert f"127.0.0.1:{tcp};transport=tcp" in answer.headers["contact"]
    assert "c=IN IP4 127.0.0.1\r\n" in answer.body
    invite = await callee.wait("INVITE")
    assert invite.vias[0].startswith(f"SIP/2.0/TLS 127.0.0.1:{tls};")
    assert f"127.0.0.1:{tls};transport=tls" in invite.headers["contact"]
    assert len(streams) == 2  # nobody was called back on a connection of ours
    assert (await caller.bye()).status == 200
    await callee.wait("BYE")
    call = await house.until("select * from call where finished")
    assert call["hangup_cause"] == "NORMAL_CLEARING"


async def test_a_call_over_ipv6_has_ipv6_in_all_its_addresses_and_audio_both_ways(open_house: House) -> None:
    house = open_house
    trunk = await house.create("trunk", {"name": "six", "cidrs": ["::1/128"]})
    target = {"kind": "ai_agent", "id": str(house.ids["agent"])}
    await house.create("did", {"number": "+34910000006", "trunk": str(trunk), "target": target})
    directory = house.node.services.directory
    await house.settled(lambda: directory.current.did_of_tenant(house.tenant, ["+34910000006"]) is not None)
    loop = asyncio.get_running_loop()
    sip, rtp = (socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) for _ in range(2))
    for sock in (sip, rtp):
        sock.setblocking(False)
        sock.bind(("::1", 0))
    port, media = sip.getsockname()[1], rtp.getsockname()[1]
    body = sdp("::1", media).replace("IN IP4", "IN IP6")
    head = (
        f"Via: SIP/2.0/UDP [::1]:{port};branch=z9hG4bK{{}}\r\nFrom: <sip:+34600111222@[::1]>;tag=six\r\n"
        f"Call-ID: six\r\nContact: <sip:carrier@[::1]:{port}>\r\nMax-Forwards: 70\r\n"
    )
    server = ("::1", house.node.services.sip.local.port)
    invite = (
        f"INVITE sip:+34910000006@[::1] SIP/2.0\r\n{head.format('a')}To: <sip:+34910000006@[::1]>\r\nCSeq: 1 INVITE\r\n"
        f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    )
    await loop.sock_sendto(sip, invite.encode(), server)
    answer = ""
    while not answer.startswith("SIP/2.0 200"):
        answer = (await asyncio.wait_for(loop.sock_recv(sip, 4096), 10)).decode()
    assert "c=IN IP6 ::1\r\n" in answer
    contact = re.search(r"Contact: <([^>]+)>", answer).group(1)  # type: ignore[union-attr]
    assert contact == f"sip:sivo@[::1]:{server[1]}"
    to = re.search(r"To: (.*)\r", answer).group(1)  # type: ignore[union-attr]
    await loop.sock_sendto(
        sip,
        f"ACK {contact} SIP/2.0\r\n{head.format('b')}To: {to}\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n".encode(),
        server,
    )
    there = int(re.search(r"m=audio (\d+)", answer).group(1))  # type: ignore[union-attr]
    heard = 0
    for number in range(40):
        packet = (
            bytes([0x80, 0]) + number.to_bytes(2, "big") + (160 * number).to_bytes(4, "big") + b"six!" + b"\xff" * 160
        )
        await loop.sock_sendto(rtp, packet, ("::1", there))
        try:
            heard += len(await asyncio.wait_for(loop.sock_recv(rtp, 2048), 0.5)) == 172
        except TimeoutError:
            continue
    assert heard > 10
    await loop.sock_sendto(
        sip,
        f"BYE {contact} SIP/2.0\r\n{head.format('c')}To: {to}\r\nCSeq: 2 BYE\r\nContent-Length: 0\r\n\r\n".encode(),
        server,
    )
    row = await house.until("select stats from call where finished")
    assert row["stats"]["media"]["legs"]["caller"]["packets_received"] > 30
    sip.close()
    rtp.close()
