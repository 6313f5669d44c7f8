"""Who may speak to the platform, and as whom: the source rules, seen from the wire."""

from __future__ import annotations

import asyncio

import pytest

from support.company import Company, open_company
from support.raw_phone import Message, RawPhone, sdp
from support.running_node import CARRIER, Node

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: An address of no trunk, and how long silence has to last to count as no reply.
STRANGER = "127.0.0.77"
SILENCE_SECONDS = 1.5


async def _register(company: Company, number: str, domain: str, password: str) -> int:
    phone = await RawPhone.open(number, domain, password, company.sip)
    try:
        return (await phone.register()).status
    finally:
        phone.close()


async def test_the_same_extension_of_two_tenants_has_two_passwords(node: Node) -> None:
    one, two = await open_company(node), await open_company(node)
    assert await _register(one, "201", one.domain, one.passwords["201"]) == 200
    assert await _register(two, "201", two.domain, two.passwords["201"]) == 200
    assert await _register(one, "201", one.domain, two.passwords["201"]) == 401
    assert await _register(two, "201", two.domain, one.passwords["201"]) == 401
    # What is not there answers no differently from a wrong password.
    assert await _register(one, "999", one.domain, "whatever") == 401


async def _asked_as(company: Company, phone: RawPhone, method: str, user: str, password: str) -> Message:
    """A request with the From of ``phone`` and the digest of somebody else."""
    uri = f"sip:{company.domain}" if method == "REGISTER" else f"sip:202@{company.domain}"
    body = sdp(phone.host, 4000) if method == "INVITE" else ""
    to = f"sip:{phone.user}@{phone.domain}" if method == "REGISTER" else ""
    phone.send(phone.request(method, uri, body, to=to))
    challenge = await phone.wait(401)
    if method == "INVITE":
        phone.ack(challenge, uri)
    mark = len(phone.inbox)
    digest = phone.authorization(challenge, method, uri, user, password)
    phone.send(phone.request(method, uri, body, digest, to=to))
    return await phone._final(mark, method)


@pytest.mark.parametrize("method", ["REGISTER", "INVITE"])
async def test_a_right_password_does_not_let_one_be_somebody_else(company: Company, method: str) -> None:
    async with company.phone("201") as phone:
        answer = await _asked_as(company, phone, method, "202", company.passwords["202"])
    assert answer.status == 403


async def test_a_trunk_is_known_by_its_address_and_its_numbers(company: Company) -> None:
    async with company.carrier("+34600100100") as known:
        # Extension 202 has no phone: the call is taken, and ends as one that nobody could answer.
        assert (await known.invite(company.did, 4000, auth=False)).status == 480
        assert (await known.invite("+34930999999", 4000, auth=False)).status == 404
        known.send(known.request("OPTIONS", f"sip:127.0.0.1:{company.sip[1]}"))
        assert (await known.wait((200, "OPTIONS"))).status == 200
    cdr = await company.ended("+34600100100")
    assert (cdr["direction"], cdr["to_number"]) == ("inbound", company.did)
    assert len((await company.api("GET", "/api/calls"))["items"]) == 1, "the unknown number made no call"


async def test_an_address_that_two_tenants_share_leads_to_the_owner_of_the_number(node: Node) -> None:
    one, two = await open_company(node), await open_company(node)
    async with two.carrier("+34600100101") as carrier:
        assert carrier.host == CARRIER
        assert (await carrier.invite(two.did, 4000, auth=False)).status == 480
    assert (await two.ended("+34600100101"))["to_number"] == two.did
    assert (await one.api("GET", "/api/calls"))["items"] == []


async def test_a_stranger_gets_no_reply_at_all(company: Company) -> None:
    async with company.carrier("+34600100102", STRANGER) as stranger:
        for method in ("INVITE", "OPTIONS", "REGISTER", "BYE", "CANCEL", "SUBSCRIBE", "MESSAGE", "ACK"):
            body = sdp(STRANGER, 4000) if method == "INVITE" else ""
            stranger.send(stranger.request(method, f"sip:{company.did}@{company.domain}", body))
            stranger.send(stranger.request(method, f"sip:{company.did}@127.0.0.1", body))
        for text in ("\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "INVITE\r\n", "\x00" * 40, "SIP/2.0 200 OK\r\n\r\n"):
            stranger.send(text)
        await asyncio.sleep(SILENCE_SECONDS)
        assert stranger.inbox == []
    assert (await company.api("GET", "/api/calls"))["items"] == []
