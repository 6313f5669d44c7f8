"""Who may speak to us: digest, wrong user, strangers, trunks and DIDs."""

from __future__ import annotations

import asyncio

from call_house import DID, House

from support.raw_phone import RawPhone, sdp

TRUNK_HOST = "127.0.0.8"


async def carrier(house: House, host: str = TRUNK_HOST) -> RawPhone:
    phone = await RawPhone.open("+34600111222", "carrier.example", "", house.sip, host)
    house.phones.append(phone)
    return phone


async def test_register_needs_the_right_password(house: House) -> None:
    phone = await house.phone("100")
    answer = await phone.register()
    assert answer.status == 200
    assert f"sip:100@{phone.host}:{phone.port}" in answer.headers["contact"]
    assert phone.inbox[0].status == 401
    wrong = await house.phone("100", "not the password")
    assert (await wrong.register()).status == 401
    row = await house.until("select * from registration")
    assert (row["extension"], row["source_port"]) == ("100", phone.port)
    assert (await phone.register(expires=0)).status == 200
    for _ in range(100):
        if not await house.fetch("select 1 from registration"):
            break
        await asyncio.sleep(0.05)
    assert await house.fetch("select 1 from registration") == []


async def test_another_users_digest_is_403(house: House) -> None:
    phone = await house.phone("100")
    uri = f"sip:{DID}@{house.domain}"
    phone.send(phone.request("INVITE", uri, sdp(phone.host, 4000)))
    challenge = await phone.wait(401)
    phone.ack(challenge, uri)
    header = phone.authorization(challenge, "INVITE", uri, user="101")
    phone.send(phone.request("INVITE", uri, sdp(phone.host, 4000), header))
    assert (await phone.wait(403)).method == "INVITE"
    assert await house.fetch("select 1 from call") == []


async def test_registering_somebody_elses_address_is_403(house: House) -> None:
    phone = await house.phone("100")
    uri, aor = f"sip:{house.domain}", f"sip:101@{house.domain}"
    phone.send(phone.request("REGISTER", uri, to=aor))
    challenge = await phone.wait(401)
    phone.send(phone.request("REGISTER", uri, to=aor, extra=phone.authorization(challenge, "REGISTER", uri)))
    assert (await phone.wait(403)).method == "REGISTER"


async def test_strangers_hear_nothing(house: House) -> None:
    stranger = await carrier(house, "127.0.0.66")
    for method in ("INVITE", "REGISTER", "OPTIONS", "BYE", "MESSAGE"):
        stranger.send(stranger.request(method, f"sip:{DID}@{house.domain}"))
    stranger.send("no SIP at all\r\n\r\n")
    await asyncio.sleep(0.6)
    assert stranger.inbox == []
    assert len(house.node.exchange) == 0


async def test_a_trunk_reaches_its_did_and_no_other(house: House) -> None:
    trunk = await carrier(house)
    unknown = await trunk.invite("+34910009999", 4000, auth=False)
    assert unknown.status == 404
    ping = await carrier(house)
    ping.send(ping.request("OPTIONS", f"sip:{house.domain}"))
    assert (await ping.wait(200)).method == "OPTIONS"
    caller = await carrier(house)
    answer = await caller.invite("0034910000001", 4000, auth=False)
    assert answer.status == 200
    assert (await caller.bye()).status == 200
    call = await house.until("select * from call where finished")
    assert (call["direction"], call["from_number"], call["to_number"]) == ("inbound", "+34600111222", DID)
    assert (call["hangup_cause"], call["hangup_by"]) == ("NORMAL_CLEARING", "caller")
    assert call["trunk_id"] == house.ids["trunk"]


async def test_trunks_that_share_an_address_are_told_apart_by_the_did(house: House) -> None:
    """Two tenants of one carrier: the DID says whose call it is."""
    first, number = house.tenant, "+34910007777"
    other = await house.second_tenant("globex", number, cidr="127.0.0.0/24")
    caller = await carrier(house)
    await house.settled(lambda: house.node.services.directory.current.did_of_tenant(other, [number]) is not None)
    assert (await caller.invite(number, 4000, auth=False)).status == 200
    await caller.bye()
    async with house.database.tenant(other) as conn:
        for _ in range(100):
            if found := await conn.fetchval("select to_number from call"):
                break
            await asyncio.sleep(0.05)
    assert found == number
    assert await house.fetch("select 1 from call") == []
    assert house.tenant == first


async def test_outbound_calls_are_denied_by_default(house: House) -> None:
    phone = await house.phone("100")
    assert (await phone.invite("+442071234567", 4000)).status == 403
    call = await house.until("select * from call where state = 'ended'")
    assert (call["direction"], call["hangup_cause"]) == ("outbound", "CALL_REJECTED")
    decision = await house.until("select * from call_decision where kind = 'route'")
    assert decision["rule"] == "outbound.denied"
    assert (await phone.invite("999", 4000)).status == 404
