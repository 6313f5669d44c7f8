"""The UDP transport on a real socket: strangers, broken handlers, rubbish, names, repetition."""

from __future__ import annotations

import asyncio
import random

import pytest
import uvloop
from sip_peers import RawPhone, eventually
from sip_uas import SmallUas, free_port

from sivo.base.clock import SystemClock
from sivo.sip import (
    ClientTransaction,
    LadderEntry,
    NameAddr,
    Peer,
    Request,
    Response,
    ServerTransaction,
    SipUdp,
    Uri,
    new_request,
    parse,
)


def options(port: int, branch: str, method: str = "OPTIONS") -> bytes:
    return (
        f"{method} sip:us@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK{branch}\r\n"
        f"From: <sip:a@b>;tag=1\r\nTo: <sip:us@c>\r\nCall-ID: {branch}\r\nCSeq: 1 {method}\r\n\r\n"
    ).encode()


async def test_strangers_hear_nothing() -> None:
    async with SmallUas() as uas:
        uas.refused_hosts.add("127.0.0.2")
        stranger, friend = await RawPhone().open("127.0.0.2"), await RawPhone().open()
        stranger.send(options(stranger.port, "s"), uas.port)
        stranger.send(b"INVITE rubbish", uas.port)
        stranger.send(options(stranger.port, "s2").replace(b"CSeq: 1", b"CSeq: x"), uas.port)
        friend.send(options(friend.port, "f"), uas.port)
        assert (await friend.next()).startswith(b"SIP/2.0 200 OK")
        with pytest.raises(TimeoutError):
            await stranger.next(0.5)
        assert uas.sip.layer.active["server"] == 1
        assert [entry.peer.host for entry in uas.ladder] == ["127.0.0.1", "127.0.0.1"]
        assert uas.sip.statistics["dropped.refused"] == 2
        assert uas.sip.statistics["dropped.malformed"] == 1
        stranger.close()
        friend.close()


class Broken(SmallUas):
    def on_request(self, txn: ServerTransaction, request: Request, source: Peer) -> None:
        if request.method == "INFO":
            raise RuntimeError("a bug")
        super().on_request(txn, request, source)


async def test_a_broken_handler_costs_one_500_and_nothing_else() -> None:
    async with Broken() as uas:
        phone = await RawPhone().open()
        phone.send(options(phone.port, "i", "INFO"), uas.port)
        assert (await phone.next()).startswith(b"SIP/2.0 500 ")
        phone.send(options(phone.port, "o"), uas.port)
        assert (await phone.next()).startswith(b"SIP/2.0 200 ")
        assert uas.sip.statistics["handler_errors"] == 1
        phone.close()


async def test_a_broken_tap_or_hook_does_not_stop_the_transport() -> None:
    def tap(entry: LadderEntry) -> None:
        raise RuntimeError("a bug in the tap")

    uas = SmallUas()
    uas.sip = SipUdp(uas, SystemClock(), tap=tap)
    async with uas:
        phone = await RawPhone().open()
        phone.send(options(phone.port, "o"), uas.port)
        assert (await phone.next()).startswith(b"SIP/2.0 200 ")
        uas.accept = lambda request, source: bool(1 / 0)  # type: ignore[method-assign]
        phone.send(options(phone.port, "p"), uas.port)
        with pytest.raises(TimeoutError):
            await phone.next(0.3)
        del uas.accept
        phone.send(options(phone.port, "q"), uas.port)
        assert (await phone.next()).startswith(b"SIP/2.0 200 ")
        phone.close()


async def test_after_a_storm_of_rubbish_it_still_answers() -> None:
    rng = random.Random(5)
    async with SmallUas() as uas:
        phone = await RawPhone().open()
        for number in range(2000):
            data = bytearray(options(phone.port, str(number)))
            for _ in range(rng.randint(1, 10)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            phone.send(bytes(data), uas.port)
            if number % 50 == 0:
                await asyncio.sleep(0)
        await eventually(lambda: uas.sip.statistics["received"] >= 1000)
        while not phone.inbox.empty():
            phone.inbox.get_nowait()
        phone.send(options(phone.port, "last"), uas.port)
        async with asyncio.timeout(5):
            while b"Call-ID: last\r\n" not in await phone.inbox.get():
                pass
        assert uas.sip.statistics["handler_errors"] == 0
        phone.close()


class Caller(SmallUas):
    """Keeps timeouts instead of failing on them."""

    def __init__(self) -> None:
        super().__init__()
        self.timeouts: list[ClientTransaction] = []

    def on_timeout(self, txn: ClientTransaction) -> None:
        self.timeouts.append(txn)


def outgoing() -> Request:
    to = NameAddr(uri=Uri.parse("sip:x@localhost"))
    return new_request("OPTIONS", to.uri, from_=NameAddr(uri=Uri.parse("sip:us@t1.example")), to=to)


async def test_a_peer_may_be_a_name_and_repetition_runs_on_the_real_clock() -> None:
    async with Caller() as uac:
        phone = await RawPhone().open()
        uac.sip.request(outgoing(), Peer("localhost", phone.port))
        first, second = await phone.next(), await phone.next()
        assert first == second
        request = parse(first)
        assert isinstance(request, Request)
        answer = Response(200, None, request.headers.copy())
        phone.send(bytes(answer), uac.port)
        await eventually(lambda: bool(uac.responses))
        assert uac.responses[0][1].status == 200
        with pytest.raises(TimeoutError):
            await phone.next(1.2)
        assert uac.sip.statistics["repeated"] == 1
        phone.close()


async def test_a_name_without_an_address_is_counted_not_raised() -> None:
    async with Caller() as uac:
        uac.sip.request(outgoing(), Peer("no-such-host.invalid", 5060))
        await eventually(lambda: uac.sip.statistics["send_errors"] >= 1)
        assert uac.sip.statistics["handler_errors"] == 0


async def test_the_address_of_the_route_is_advertised() -> None:
    sip = SipUdp(SmallUas(), SystemClock())
    await sip.start("0.0.0.0", free_port())
    try:
        assert sip.contact_for(Peer("127.0.0.1", 5060)) == ("127.0.0.1", sip.local.port)
    finally:
        await sip.close()
    sip = SipUdp(SmallUas(), SystemClock(), advertised_host="203.0.113.1")
    await sip.start("127.0.0.1", free_port())
    try:
        assert sip.contact_for(Peer("127.0.0.1", 5060)) == ("203.0.113.1", sip.local.port)
    finally:
        await sip.close()


async def test_after_close_nothing_runs() -> None:
    uas = Caller()
    async with uas:
        uas.sip.request(outgoing(), Peer("127.0.0.1", 9))
    await uas.sip.close()
    await asyncio.sleep(0.6)
    assert uas.sip.statistics["repeated"] == 0


def test_it_runs_under_uvloop() -> None:
    """The loop the call role runs in: answers, timers, names, addresses of IPv6, close."""

    async def talk() -> None:
        async with Caller() as uas:
            phone = await RawPhone().open()
            phone.send(options(phone.port, "u"), uas.port)
            assert (await phone.next()).startswith(b"SIP/2.0 200 ")
            uas.sip.request(outgoing(), Peer("localhost", phone.port))
            assert await phone.next() == await phone.next()
            phone.close()
        six = SipUdp(Caller(), SystemClock())
        await six.start("::1", free_port())
        assert six.contact_for(Peer("::1", 5060)) == ("::1", six.local.port)
        six.request(outgoing(), Peer("::1", six.local.port))
        await eventually(lambda: six.statistics["received"] >= 2)  # the request and its answer
        await six.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(talk())
