"""An edge as it is meant to be run: Kamailio and rtpengine, as `sivo edge render` wrote them, in front of two nodes.

Phones know the edge only, and every sound goes through rtpengine. Heard is what phones recorded.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import aiohttp
import pytest

from support.baresip import Account, Baresip, spoken
from support.company import Company
from support.edge_world import (
    CARRIER,
    DID,
    INNER,
    OTHER_DID,
    OUTER,
    EdgePhone,
    EdgeWorld,
    Talker,
    callee_of,
    sign_off,
)
from support.ports import free_port
from support.raw_phone import Message, parse, sdp
from support.rtp_phone import level_db, tone

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("edge")]
LOUD, SILENT = -30.0, -45.0


async def test_what_is_rendered_is_taken_by_kamailio_and_secret(world: tuple[EdgeWorld, Company, Company]) -> None:
    made, acme, _ = world
    rendered = await made.render()
    assert rendered.returncode == 0, rendered.stderr
    checked = await made.render("--check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    files = [path for path in made.folder.rglob("*") if path.is_file()]
    assert len(files) >= 10 and all(path.stat().st_mode & 0o077 == 0 for path in (*files, made.folder))
    everything = "".join(path.read_text() for path in files)
    assert not [one for one in acme.passwords.values() if one in everything]  # HA1 and no password
    subscriber = made.folder / "db" / "subscriber"
    before = subscriber.read_text()
    subscriber.write_text(before.replace("101", "109"))
    differs = await made.render("--check")
    assert differs.returncode == 1 and "db/subscriber" in differs.stderr
    ha1 = before.splitlines()[1].split(":")[3]
    assert len(ha1) == 32 and ha1 not in differs.stdout + differs.stderr + rendered.stdout
    await made.render()
    await made.open_edge()


async def test_phones_register_with_their_own_password_in_their_own_domain(
    world: tuple[EdgeWorld, Company, Company],
) -> None:
    made, acme, globex = world
    for company in (acme, globex):
        phone = await made.phone("101", company.domain, company.passwords["101"])
        assert (await phone.register()).status == 200
    for password in ("wrong", acme.passwords["101"]):
        phone = await made.phone("101", globex.domain, password)
        assert (await phone.register()).status in (401, 403)
    # A right digest for somebody else's number.
    phone = await made.phone("102", acme.domain, acme.passwords["101"])
    phone.account = "101"
    assert (await phone.register()).status == 403


async def test_a_browser_registers_over_websocket(world: tuple[EdgeWorld, Company, Company]) -> None:
    """RFC 7118, with TLS; a page that asks for anything else gets nothing."""
    made, acme, _ = world
    phone = await made.phone("102", acme.domain, acme.passwords["102"])
    place, uri = f"https://{OUTER}:{made.environment['SIVO_EDGE_WSS_PORT']}/", f"sip:{acme.domain}"
    async with aiohttp.ClientSession() as session:
        async with session.get(place, ssl=False) as answer:
            assert answer.status == 404
        async with session.ws_connect(place, protocols=("sip",), ssl=False) as line:

            async def register(extra: str) -> Message:
                text = phone.request("REGISTER", uri, to=f"sip:102@{acme.domain}", extra=extra)
                await line.send_str(text.replace("SIP/2.0/UDP", "SIP/2.0/WSS"))
                return parse((await line.receive_str(timeout=5)).encode(), 0.0)

            challenge = await register("Expires: 120\r\n")
            assert challenge.status == 401
            right = phone.authorization(challenge, "REGISTER", uri)
            assert (await register(f"Expires: 120\r\n{right}")).status == 200
            assert (
                await register("Expires: 0\r\n" + phone.authorization(challenge, "REGISTER", uri, "102", "x"))
            ).status == 401


async def test_real_phones_call_hold_and_transfer_with_sound_both_ways(
    world: tuple[EdgeWorld, Company, Company], tmp_path: Path
) -> None:
    made, acme, _ = world
    hertz = {"101": 500, "102": 1000, "103": 1700}
    phones: dict[str, Baresip] = {}
    try:
        for at, number in enumerate(hertz):
            # One of them on TLS, with keys: rtpengine stands between it and the others.
            secure = number == "103"
            account = Account(
                number,
                acme.domain,
                acme.passwords[number],
                f"{OUTER}:{made.tls_port}" if secure else made.proxy,
                answer="auto" if at else "manual",
                transport="tls" if secure else "udp",
                mediaenc="srtp-mand" if secure else "",
            )
            phones[number] = Baresip(
                account,
                port=33010 + 4 * at,
                rtp=33030 + 20 * at,
                voice=spoken(tmp_path / f"{number}.wav", tone(hertz[number], 60.0)),
                seconds=90,
                control=free_port(),
                authority=Path(made.environment["SIVO_EDGE_CERTIFICATE"]) if secure else None,
            ).__enter__()
        one = phones["101"]
        async with asyncio.timeout(15):
            while not all("200 OK" in phone.output() for phone in phones.values()):
                await asyncio.sleep(0.2)
        one.command("dial", f"sip:102@{acme.domain}")
        await acme.call_of("101", lambda call: bool(call["state"] == "answered"))
        await asyncio.sleep(2.5)
        one.command("hold")
        await asyncio.sleep(2.0)
        one.command("resume")
        await asyncio.sleep(1.5)
        one.command("transfer", f"sip:103@{acme.domain}")
        async with asyncio.timeout(15):
            while "Call established" not in phones["103"].output():
                await asyncio.sleep(0.2)
        await asyncio.sleep(3.0)
        phones["103"].command("hangup")
        call = await acme.ended("101")
    finally:
        await asyncio.gather(*(asyncio.to_thread(phone.stop) for phone in phones.values()))
        heard = {number: phone.heard() for number, phone in phones.items()}
        said = {number: phone.output()[-1500:] for number, phone in phones.items()}
        for phone in phones.values():
            phone.__exit__(None, None, None)

    def level(number: str, of: str, start: float, end: float) -> float:
        samples = heard[number][int(8000 * start) : int(8000 * end) or None]
        return level_db(samples.astype("<i2").tobytes(), hertz[of])

    assert call["hangup_cause"] == "NORMAL_CLEARING", call
    assert level("101", "102", 0.7, 1.7) > LOUD and level("102", "101", 0.7, 1.7) > LOUD, said
    silent = min(level("102", "101", start / 10, start / 10 + 0.5) for start in range(15, 55))
    assert silent < SILENT, "there was silence on hold"
    assert level("102", "103", -1.5, 0) > LOUD and level("103", "102", -1.5, 0) > LOUD, said
    assert level("102", "101", -1.5, 0) < SILENT, "and who passed the call on is gone"


async def test_a_carrier_reaches_its_did_and_nobody_elses(world: tuple[EdgeWorld, Company, Company]) -> None:
    made, acme, _ = world
    callee = await callee_of(made, acme, "103", 900)
    caller = await made.talker(await made.phone("+34600111222", "carrier.example.com", host=CARRIER), 600)
    ok = await caller.sip.invite(DID, caller.rtp.port, auth=False)
    assert ok.status == 200
    caller.talk(ok)
    callee.talk(await callee.sip.wait("INVITE"))
    await asyncio.sleep(2.0)
    assert level_db(caller.heard_last(1.0), 900) > LOUD and level_db(callee.heard_last(1.0), 600) > LOUD
    assert (await caller.sip.reinvite(caller.rtp.port, "sendonly")).status == 200
    await asyncio.sleep(1.0)
    assert (await caller.sip.reinvite(caller.rtp.port, "sendrecv")).status == 200
    await asyncio.sleep(1.5)
    assert level_db(caller.heard_last(0.6), 900) > LOUD and level_db(callee.heard_last(0.6), 600) > LOUD
    assert (await caller.sip.bye()).status == 200
    assert (await acme.ended("+34600111222"))["hangup_by"] == "caller"
    other = await made.phone("+34600111223", "carrier.example.com", host=CARRIER)
    assert (await other.invite(OTHER_DID, 4000, auth=False)).status == 404
    await sign_off(callee)


async def test_calls_to_a_carrier_leave_through_the_edge(world: tuple[EdgeWorld, Company, Company]) -> None:
    """So do the platform's own registrations there: the carrier knows the edge, and answers and calls it."""
    made, acme, _ = world
    carrier = await made.talker(await made.phone("carrier", "x", host="127.0.0.5"), 900)
    carrier.sip.auto_answer = 200
    out = {"name": "out", "host": "127.0.0.5", "port": carrier.sip.port, "outbound": [{"prefix": "+44"}]}
    account = {"username": "acme-line", "password": "carrier-secret", "register_there": True}
    await acme.make("trunks", out | account)
    asked = await carrier.sip.wait("REGISTER", 15.0)
    assert asked.headers["contact"] == f"<sip:acme-line@{made.proxy}>" and OUTER in asked.vias[0]
    assert "x-sivo-edge" not in asked.headers
    carrier.sip.answer(asked, 200, "OK")
    await asyncio.sleep(3.0)  # until both nodes know of it
    caller = await made.talker(await made.phone("101", acme.domain, acme.passwords["101"]), 600)
    ok = await caller.sip.invite("00442071234567", caller.rtp.port)
    assert ok.status == 200
    invite = await carrier.sip.wait("INVITE")
    assert invite.first_line.startswith(f"INVITE sip:+442071234567@127.0.0.5:{carrier.sip.port}")
    assert not [name for name in invite.headers if name.startswith("x-sivo")]
    caller.talk(ok)
    carrier.talk(invite)
    await asyncio.sleep(2.0)
    assert level_db(caller.heard_last(1.0), 900) > LOUD and level_db(carrier.heard_last(1.0), 600) > LOUD
    assert (await caller.sip.bye()).status == 200
    await carrier.sip.wait("BYE")


async def test_what_strangers_say_about_themselves_is_not_believed(world: tuple[EdgeWorld, Company, Company]) -> None:
    """Headers of the edge from outside, a carrier's address in them, a node's place, a scanner, a relay."""
    made, acme, _ = world
    lies = (
        f"X-SIVO-Edge: {'0' * 64}\r\nX-SIVO-Source: udp:{CARRIER}:5060\r\nx-sivo-account: 101@{acme.domain}\r\n"
        f"X-SIVO-Media: srtp\r\nX-SIVO-Edge: {'1' * 64}\r\n"
    )
    liar = await made.phone("101", acme.domain, "wrong", host="127.0.0.66")
    uri = f"sip:102@{acme.domain}"
    liar.send(liar.request("INVITE", uri, sdp("127.0.0.66", 4000), lies))
    liar.ack(await liar.wait(401, 15.0), uri)
    # An account that is right, and lies beside it: they are gone when a node sees the call.
    good = await made.phone("101", acme.domain, acme.passwords["101"])
    uri = f"sip:999@{acme.domain}"
    good.send(good.request("INVITE", uri, sdp(good.host, 4000), lies))
    challenge = await good.wait(401, 15.0)
    good.ack(challenge, uri)
    good.send(good.request("INVITE", uri, sdp(good.host, 4000), lies + good.authorization(challenge, "INVITE", uri)))
    good.ack(await good.wait((404, "INVITE"), 15.0), uri)
    call = await acme.call_of("101", lambda one: bool(one["to_number"] == "999" and one["state"] == "ended"))
    await asyncio.sleep(1.0)
    seen = (await made.ladder(call["id"])).lower()
    assert f"x-sivo-source: udp:127.0.0.1:{good.port}" in seen and "x-sivo-media: rtp" in seen
    assert seen.count("x-sivo-") == 4  # token, source, account and media of the edge, once each
    assert CARRIER not in seen and "0" * 64 not in seen and "1" * 64 not in seen

    async def silence(phone: EdgePhone, text: str) -> None:
        phone.send(text)
        await asyncio.sleep(0.7)
        assert phone.inbox == [], phone.inbox[0].first_line

    scanner = await made.phone("100", "1.2.3.4", host="127.0.0.67")
    for method in ("OPTIONS", "INVITE", "REGISTER"):
        await silence(scanner, scanner.request(method, f"sip:100@{OUTER}"))
    # A relay to where he likes: our Route, and a Request-URI that is no node's; and one with a further Route.
    relay = await made.phone("100", "1.2.3.4", host="127.0.0.68")
    victim = await made.phone("victim", "x", host="127.0.0.69")
    relay.to_tag, relay.routes = "t", [f"<sip:{OUTER}:{made.sip_port};lr>"]
    await silence(relay, relay.request("INVITE", f"sip:v@127.0.0.69:{victim.port}", sdp("127.0.0.68", 4000)))
    relay.routes.append(f"<sip:127.0.0.69:{victim.port};lr>")
    await silence(relay, relay.request("INVITE", f"sip:v@127.0.0.1:{made.nodes[0].ports.sip}", sdp("127.0.0.68", 4000)))
    assert victim.inbox == []
    # The inner side, and a node itself, hear nobody who only stands where one stands.
    for server in ((INNER, made.inner_port), ("127.0.0.1", made.nodes[0].ports.sip)):
        forged = await made.phone("+34600111222", "carrier.example.com", host="127.0.0.70")
        forged.server = server
        await silence(forged, forged.request("INVITE", f"sip:{DID}@x", sdp("127.0.0.70", 4000), lies))


async def test_a_flood_is_not_heard_for_a_while(world: tuple[EdgeWorld, Company, Company]) -> None:
    made, acme, _ = world
    flood = await made.phone("101", acme.domain, "", host="127.0.0.71")
    for _ in range(40):
        for _ in range(20):
            flood.send(flood.request("REGISTER", f"sip:{acme.domain}", to=f"sip:101@{acme.domain}"))
        await asyncio.sleep(0.05)
    answered = len(flood.inbox)
    assert answered < 500
    flood.inbox.clear()
    flood.send(flood.request("REGISTER", f"sip:{acme.domain}", to=f"sip:101@{acme.domain}"))
    await asyncio.sleep(1.0)
    assert flood.inbox == []
    other = await made.phone("101", acme.domain, acme.passwords["101"], host="127.0.0.72")
    assert (await other.register()).status == 200


async def test_a_node_is_drained_without_a_dropped_call(world: tuple[EdgeWorld, Company, Company]) -> None:
    """Six calls on two nodes; one node drains and is stopped: its calls end when their callers hang up, not before."""
    made, acme, _ = world
    callers: list[Talker] = []
    callees: list[Talker] = []

    async def ring(at: int) -> None:
        """A new call with sound both ways; each callee is a phone of its own of extension 103."""
        callee = await callee_of(made, acme, "103", 800)
        caller = await made.talker(await made.phone(f"+3460011130{at}", "carrier.example.com", host=CARRIER), 600)
        ok = await caller.sip.invite(DID, caller.rtp.port, auth=False)
        assert ok.status == 200, (ok.first_line, made.edge_log())
        caller.talk(ok)
        callee.talk(await callee.sip.wait("INVITE"))
        await sign_off(callee)
        callers.append(caller)
        callees.append(callee)

    def on(node: int) -> list[Talker]:
        place = f"@127.0.0.1:{made.nodes[node].ports.sip}"
        return [one for one in callers if place in one.sip.remote_target]

    assert sorted((await made.states())[0][:1] + (await made.states())[1][:1]) == ["A", "A"]
    for at in range(6):
        await ring(at)
    before = {node: on(node) for node in (0, 1)}
    assert len(before[0]) >= 2 and len(before[1]) >= 2, "calls are spread over both"

    assert made.sivo(1, "node", "drain").returncode == 0
    # At once, before any OPTIONS has told the edge: the node says 503 and the edge takes the other one.
    await asyncio.sleep(0.5)
    for at in range(6, 8):
        await ring(at)
    async with asyncio.timeout(15):
        while not (await made.states())[1].startswith("I"):
            await asyncio.sleep(0.3)
    await ring(8)
    assert on(1) == before[1], "no new call came to the node that drains"

    await asyncio.sleep(2.0)
    for caller, callee in zip(callers, callees, strict=True):
        assert level_db(caller.heard_last(1.0), 800) > LOUD and level_db(callee.heard_last(1.0), 600) > LOUD
        assert not [one for one in (*caller.sip.inbox, *callee.sip.inbox) if one.method == "BYE" and not one.status]
    assert made.sivo(1, "node", "drain", "--wait", "1").returncode == 1, "calls are left"
    for caller in before[1]:
        assert (await caller.sip.bye()).status == 200
    began = time.monotonic()
    drained = await asyncio.to_thread(made.sivo, 1, "node", "drain", "--wait", "20")
    assert drained.returncode == 0 and "drained" in drained.stdout, drained.stdout + drained.stderr
    assert time.monotonic() - began < 20
    await made.nodes[1].stop()

    for caller, callee in zip(callers, callees, strict=True):
        if caller not in before[1]:
            assert level_db(caller.heard_last(1.0), 800) > LOUD and level_db(callee.heard_last(1.0), 600) > LOUD
            assert (await caller.sip.bye()).status == 200
    for caller in callers:
        assert (await acme.ended(caller.sip.user))["hangup_cause"] == "NORMAL_CLEARING"

    # It comes back, and gets calls again.
    await made.nodes[1].start(patience=150.0, fresh=False)
    async with asyncio.timeout(20):
        while not (await made.states())[1].startswith("A"):
            await asyncio.sleep(0.3)
    for at in range(2):
        await ring(at)
    assert [one for one in callers[-2:] if one in on(1)]
    for one in callers[-2:]:
        assert (await one.sip.bye()).status == 200
