"""SIP over TCP and TLS on real sockets: framing, flows, keep-alives, strangers, both address families."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sip_peers import RawPhone, eventually, sipp
from sip_uas import SmallUas, free_port

from sivo.sip import ClientTransaction, NameAddr, Peer, SipUdp, Uri, new_request
from sivo.sip import streams as streams_module
from sivo.sip.tls import client_context, development_certificate, server_context


class Uas(SmallUas):
    """Serves TCP beside UDP, and keeps timeouts."""

    def __init__(self) -> None:
        super().__init__()
        self.timeouts: list[ClientTransaction] = []

    async def __aenter__(self) -> Uas:
        await super().__aenter__()
        await self.sip.listen("127.0.0.1", 0)
        return self

    @property
    def tcp(self) -> int:
        return self.sip.streams.port("TCP") or 0

    def on_timeout(self, txn: ClientTransaction) -> None:
        self.timeouts.append(txn)


@pytest.fixture
async def uas() -> AsyncIterator[Uas]:
    async with Uas() as made:
        yield made


def options(branch: str, transport: str = "TCP", padding: int = 0) -> bytes:
    return (
        f"OPTIONS sip:us@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/{transport} 127.0.0.1:9;branch=z9hG4bK{branch}\r\n"
        f"From: <sip:a@b>;tag=1\r\nTo: <sip:us@c>\r\nCall-ID: {branch}\r\nCSeq: 1 OPTIONS\r\nX: {'x' * padding}\r\n"
        "Content-Length: 0\r\n\r\n"
    ).encode()


async def response(reader: asyncio.StreamReader) -> bytes:
    return await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)


async def test_answers_go_back_on_the_flow_whatever_the_via_says(uas: Uas) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", uas.tcp)
    data = options("one") + options("two") + options("three")
    writer.write(data[:500])
    await asyncio.sleep(0.05)
    writer.write(data[500:])
    for branch in ("one", "two", "three"):
        answer = await response(reader)
        assert answer.startswith(b"SIP/2.0 200 ")
        assert f"Call-ID: {branch}\r\n".encode() in answer
    writer.write(b"\r\n\r\n")
    assert await asyncio.wait_for(reader.readexactly(2), 5) == b"\r\n"
    assert len(uas.sip.streams) == 1
    writer.close()
    await eventually(lambda: len(uas.sip.streams) == 0)


async def test_a_stranger_gets_nothing_and_loses_the_connection(uas: Uas) -> None:
    uas.refused_hosts.add("127.0.0.1")
    for data in (options("s"), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\0" * 70_000, options("big", padding=70_000)):
        reader, writer = await asyncio.open_connection("127.0.0.1", uas.tcp)
        writer.write(data)
        try:
            assert await asyncio.wait_for(reader.read(), 5) == b""
        except ConnectionResetError:
            pass
        writer.close()
    await eventually(lambda: len(uas.sip.streams) == 0)
    assert uas.sip.layer.active["server"] == 0


async def test_a_message_of_64_kib_is_read_and_a_larger_one_is_not(uas: Uas) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", uas.tcp)
    writer.write(options("large", padding=60_000))
    assert (await response(reader)).startswith(b"SIP/2.0 200 ")
    writer.write(options("larger", padding=66_000))
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await response(reader)
    writer.close()


async def test_silent_and_slow_connections_are_closed_and_one_host_has_few(
    uas: Uas, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams_module, "UNHEARD_SECONDS", 0.5)
    monkeypatch.setattr(streams_module, "MAX_UNHEARD", 3)
    opened = [await asyncio.open_connection("127.0.0.1", uas.tcp) for _ in range(8)]
    await eventually(lambda: uas.sip.statistics["connections_refused"] == 5)
    opened[0][1].write(options("slow")[:40])
    await eventually(lambda: len(uas.sip.streams) == 0, 10)
    for _, writer in opened:
        writer.close()


def request_to(port: int) -> tuple[object, Peer]:
    to = NameAddr(uri=Uri.parse(f"sip:x@127.0.0.1:{port};transport=tcp"))
    request = new_request("OPTIONS", to.uri, from_=NameAddr(uri=Uri.parse("sip:us@t1.example")), to=to)
    return request, to.uri.peer()


async def test_our_requests_share_one_connection_and_say_tcp(uas: Uas) -> None:
    async with Uas() as caller:
        for _ in range(20):
            caller.sip.request(*request_to(uas.tcp))  # type: ignore[arg-type]
        await eventually(lambda: len(caller.responses) == 20)
        assert (len(caller.sip.streams), len(uas.sip.streams)) == (1, 1)
        txn = caller.responses[0][0]
        assert txn.request.via.transport == "TCP"
        assert txn.request.via.port == caller.tcp
        assert (
            caller.sip.contact_uri(Peer("127.0.0.1", 5060, "TCP")) == f"sip:sivo@127.0.0.1:{caller.tcp};transport=tcp"
        )
        assert caller.sip.contact_uri(Peer("127.0.0.1", 5060)) == f"sip:sivo@127.0.0.1:{caller.port}"


async def test_a_peer_that_does_not_listen_ends_the_transaction_at_once(uas: Uas) -> None:
    began = time.monotonic()
    uas.sip.request(*request_to(9))  # type: ignore[arg-type]
    await eventually(lambda: len(uas.timeouts) == 1)
    assert time.monotonic() - began < 5  # and not 32 s
    assert uas.sip.layer.active["client"] == 0


async def test_tls_with_a_development_certificate(uas: Uas, tmp_path: Path) -> None:
    certificate, key = development_certificate(tmp_path / "tls", ["127.0.0.1", "localhost"])
    assert development_certificate(tmp_path / "tls", ["other"]) == (certificate, key)  # made once
    assert key.stat().st_mode & 0o777 == 0o600
    await uas.sip.listen("127.0.0.1", 0, server_context(certificate, key))
    port = uas.sip.streams.port("TLS")
    assert port

    with pytest.raises(ssl.SSLError):
        await asyncio.open_connection("127.0.0.1", port, ssl=ssl.create_default_context())
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client_context(certificate))
    writer.write(options("t", "TLS"))
    assert (await response(reader)).startswith(b"SIP/2.0 200 ")
    writer.close()

    async with Uas() as caller:
        to = NameAddr(uri=Uri.parse(f"sip:x@127.0.0.1:{port};transport=tls"))
        from_ = NameAddr(uri=Uri.parse("sip:us@t1.example"))
        caller.sip.request(new_request("OPTIONS", to.uri, from_=from_, to=to), to.uri.peer())
        await eventually(lambda: len(caller.timeouts) == 1)  # a certificate that nobody trusts
        caller.sip.streams.client_tls = client_context(certificate)
        caller.sip.request(new_request("OPTIONS", to.uri, from_=from_, to=to), to.uri.peer())
        await eventually(lambda: len(caller.responses) == 1)
        assert caller.responses[0][0].request.via.transport == "TLS"


async def test_one_address_for_both_families() -> None:
    uas = Uas()
    uas.sip = SipUdp(uas, uas.clock, tap=uas.ladder.append)
    await uas.sip.start("::", free_port())
    await uas.sip.listen("::", 0)
    try:
        phone = await RawPhone().open()
        phone.send(options("udp4", "UDP").replace(b"127.0.0.1:9", f"127.0.0.1:{phone.port}".encode()), uas.port)
        assert (await phone.next()).startswith(b"SIP/2.0 200 ")
        assert uas.ladder[0].peer.host == "127.0.0.1"  # as rules and addresses know it, not ::ffff:127.0.0.1
        phone.close()
        for host in ("127.0.0.1", "::1"):
            reader, writer = await asyncio.open_connection(host, uas.tcp)
            writer.write(options(f"tcp{host}"))
            assert (await response(reader)).startswith(b"SIP/2.0 200 ")
            assert uas.ladder[-1].peer.host == host
            writer.close()
        assert uas.sip.contact_for(Peer("::1", 5060))[0] == "::1"
        assert uas.sip.contact_for(Peer("127.0.0.1", 5060))[0] == "127.0.0.1"
        assert uas.sip.contact_uri(Peer("::1", 5060)) == f"sip:sivo@[::1]:{uas.port}"
    finally:
        await uas.sip.close()


async def test_sipp_calls_over_tcp(uas: Uas, tmp_path: Path) -> None:
    for mode in ("t1", "tn"):
        arguments = ("-sn", "uac", "-t", mode, "-max_socket", "100", "-m", "30", "-r", "30", "-d", "100")
        result = await sipp(f"127.0.0.1:{uas.tcp}", *arguments, cwd=tmp_path)
        assert (result.successful, result.failed) == (30, 0), result.output
    assert uas.acks == 60
    assert uas.byes == 60
