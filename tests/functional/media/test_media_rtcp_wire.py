"""RTCP on the wire: a real media process reports to a peer that is a bare socket, and believes what it is told."""

from __future__ import annotations

import asyncio
import socket
import struct
from pathlib import Path

from media_harness import Media, add_leg, open_session

from sivo.media import protocol as wire
from support.rtp_phone import RtpPhone, tone

PORTS = (40000, 40049)


def bound_beside(rtp_port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.bind(("127.0.0.1", rtp_port + 1))
    return sock


async def test_reports_come_beside_the_audio_and_make_the_round_trip(tmp_path: Path) -> None:
    media = Media(tmp_path, PORTS)
    call = await media.start()
    try:
        phone = await RtpPhone.open("127.0.0.1", 40060)
        control = bound_beside(phone.port)
        phone.play(tone(400, 20))
        await open_session(call, "rtcp")
        port = await add_leg(call, "rtcp", "a", 0, phone.port)
        await call.send(wire.StartCapture, session="rtcp", record=False)
        phone.call("127.0.0.1", port)
        phone.start()
        loop = asyncio.get_running_loop()
        data, source = await asyncio.wait_for(loop.sock_recvfrom(control, 2048), 10)
        assert source == ("127.0.0.1", port + 1)
        first, kind, ssrc, high, low = struct.unpack_from("!BB2xIII", data)
        assert (first, kind) == (0x81, 200), "a sender report with one block"
        assert ssrc == phone.received[0].ssrc
        assert 3_900_000_000 < high < 4_294_967_295
        assert struct.unpack_from("!I", data, 28)[0] == phone.ssrc
        # A receiver report of ours: half a second after theirs, which we say took no time at all here.
        await asyncio.sleep(0.5)
        middle = (high & 0xFFFF) << 16 | low >> 16
        block = struct.pack("!IIIIII", ssrc, 64 << 24 | 7, 100, 80, middle, int(0.3 * 65536))
        await loop.sock_sendto(control, b"\x81\xc9\x00\x07" + struct.pack("!I", phone.ssrc) + block, source)
        await asyncio.sleep(0.2)
        stats = await call.send(wire.RemoveLeg, session="rtcp", leg="a")
        assert 200 <= stats["rtt_ms"] < 600
        assert (stats["remote_lost"], stats["rtcp_received"], stats["remote_jitter_ms"]) == (7, 1, 10.0)
        assert stats["buffer_ms"] > 15
        last, _ = await asyncio.wait_for(loop.sock_recvfrom(control, 2048), 10)
        while last[-8:-4] != b"\x81\xcb\x00\x01":
            last, _ = await asyncio.wait_for(loop.sock_recvfrom(control, 2048), 10)
        assert struct.unpack("!I", last[-4:])[0] == ssrc, "BYE with our SSRC"
        control.close()
        await phone.close()
    finally:
        media.kill()
