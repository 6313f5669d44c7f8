"""A node behind an edge, and a node that drains: real datagrams, an edge that is a socket of the test."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
from call_house import DID, PASSWORD, House, running_house

from sivo.base.settings import Settings
from sivo.db.scopes import Database
from sivo.edge.keys import EdgeKeys
from sivo.edge.reading import read
from sivo.sip.digest import ha1
from support.ports import free_port
from support.raw_phone import RawPhone, sdp

EDGE, CARRIER = "127.0.0.77", "127.0.0.8"


@pytest.fixture
async def behind(settings: Settings, database: Database) -> AsyncIterator[tuple[House, RawPhone, str]]:
    """A call role behind an edge, the edge's socket, and its token."""
    port = free_port(host=EDGE)
    with_edge = settings.model_copy(update={"sip_edges": f"{EDGE}:{port}"})
    async with running_house(with_edge, database, 1) as house:
        edge = RawPhone("100", house.domain, "", house.sip)
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: edge, local_addr=(EDGE, port))
        house.phones.append(edge)
        yield house, edge, (await EdgeKeys.open(house.vault)).token


def told(token: str, source: str = "udp:203.0.113.9:5062", account: str = "") -> str:
    lines = f"X-SIVO-Edge: {token}\r\nX-SIVO-Source: {source}\r\n"
    return lines + (f"X-SIVO-Account: {account}\r\n" if account else "")


def invite(edge: RawPhone, number: str, headers: str) -> int:
    """A new call through the edge; where in its inbox the answers begin."""
    edge.call_id = re.sub(r"-\d+$", "", edge.call_id) + f"-{edge.cseq}"
    edge.to_tag = ""
    mark = len(edge.inbox)
    edge.send(edge.request("INVITE", f"sip:{number}@{edge.domain}", sdp(EDGE, 4000), headers))
    return mark


async def options(edge: RawPhone) -> int:
    edge.to_tag, mark = "", len(edge.inbox)
    edge.send(edge.request("OPTIONS", f"sip:{edge.server[0]}:{edge.server[1]}"))
    found: list[int] = []
    async with asyncio.timeout(3):
        while not found:
            await asyncio.sleep(0.02)
            found = [one.status for one in edge.inbox[mark:] if one.method == "OPTIONS"]
    return found[0]


async def test_who_calls_and_who_is_rung_is_a_matter_of_the_edge(behind: tuple[House, RawPhone, str]) -> None:
    house, edge, token = behind
    assert await options(edge) == 200
    # A phone that the edge knows: no challenge, and the callee's phones are sought at the edge.
    mark = invite(edge, "101", told(token, account=f"100@{house.domain}"))
    rung = await edge.wait("INVITE", after=mark)
    assert rung.first_line == f"INVITE sip:101@{house.tenant}.phones.invalid SIP/2.0"
    assert (rung.headers["x-sivo-edge"], rung.headers["x-sivo-srtp"]) == (token, "optional")
    edge.answer(rung, 480, "Temporarily Unavailable")
    answer = await edge.wait((480, "INVITE"), after=mark)
    assert not [one for one in edge.inbox[mark:] if one.status == 401]
    edge.ack(answer, f"sip:101@{house.domain}")
    call = await house.until("select * from call where finished")
    assert (call["from_number"], call["to_number"], call["direction"]) == ("100", "101", "internal")
    ladder = await house.fetch("select * from sip_message")
    assert ladder and token not in str(ladder)
    # An edge is given what the node goes by: accounts, domain and the carrier's network.
    known = await read(house.database, house.vault, house.settings, "MD5")
    assert {(one.username, one.domain, one.ha1) for one in known.accounts} == {
        (number, house.domain, ha1(number, house.domain, PASSWORD)) for number in ("100", "101")
    }
    assert known.domains == ((house.domain, house.tenant),) and [str(one) for one in known.networks] == [
        f"{CARRIER}/32"
    ]
    # Somebody else's account.
    mark = invite(edge, "101", told(token, account=f"101@{house.domain}"))
    edge.ack(await edge.wait((403, "INVITE"), after=mark), f"sip:101@{house.domain}")
    # Without the token it is nobody, also with everything else right.
    mark = invite(edge, "101", told("0" * 64, account=f"100@{house.domain}"))
    await asyncio.sleep(0.7)
    assert edge.inbox[mark:] == []


async def test_a_node_that_drains_takes_no_new_calls_and_drops_none(behind: tuple[House, RawPhone, str]) -> None:
    house, edge, token = behind
    edge.user, edge.domain = "+34600111222", "carrier.example"
    services = house.node.services
    mark = invite(edge, DID, told(token, f"udp:{CARRIER}:5060"))
    ok = await edge.wait((200, "INVITE"), after=mark)
    edge.to_tag = ok.headers["to"].partition("tag=")[2]
    edge.remote_target = re.findall(r"<([^>]+)>", ok.headers["contact"])[0]
    edge.ack(ok, edge.remote_target)
    running = (edge.call_id, edge.to_tag)

    house.settings.drain_file.touch()
    await house.settled(lambda: services.draining.on)
    assert await options(edge) == 503
    assert await house.node.watching.checks()["service"]() == "down: it drains"
    mark = invite(edge, DID, told(token, f"udp:{CARRIER}:5060"))
    refused = await edge.wait((503, "INVITE"), after=mark)
    assert refused.headers["retry-after"]
    edge.ack(refused, f"sip:{DID}@{edge.domain}")
    await asyncio.sleep(0.6)
    assert not house.settings.drained_file.exists()
    assert house.node.exchange.running == 1 and not [one for one in edge.inbox if one.method == "BYE"]

    edge.call_id, edge.to_tag = running
    assert (await edge.bye()).status == 200
    await house.settled(house.settings.drained_file.exists)
    house.settings.drained_file.unlink()  # as who asks once more does
    await house.settled(house.settings.drained_file.exists)
    house.settings.drain_file.unlink()
    await house.settled(lambda: not services.draining.on)
    assert await options(edge) == 200 and not house.settings.drained_file.exists()
