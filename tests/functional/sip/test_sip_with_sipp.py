"""SIPp, which nobody here wrote, against our transport; and a wire that loses what we choose."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from sip_peers import SCENARIOS, LossyWire, eventually, sipp
from sip_uas import SmallUas

from sivo.sip import Timers


async def test_fifty_calls(tmp_path: Path) -> None:
    async with SmallUas() as uas:
        result = await sipp(f"127.0.0.1:{uas.port}", "-sn", "uac", "-m", "50", "-r", "25", "-d", "100", cwd=tmp_path)
        assert (result.code, result.successful, result.failed) == (0, 50, 0), result.output
        assert (uas.acks, uas.byes, uas.ack_timeouts) == (50, 50, 0)
        assert not uas.dialogs
        assert uas.sip.statistics["repeated"] == 0
        assert uas.sip.statistics["handler_errors"] == 0


async def test_cancel(tmp_path: Path) -> None:
    async with SmallUas(ring_only=True) as uas:
        result = await sipp(
            f"127.0.0.1:{uas.port}", "-sf", str(SCENARIOS / "cancel.xml"), "-m", "20", "-r", "20", cwd=tmp_path
        )
        assert (result.code, result.successful, result.failed) == (0, 20, 0), result.output
        assert uas.cancels == 20
        assert uas.acks == 0  # the ACK of a 487 belongs to its transaction


async def test_digest_registration(tmp_path: Path) -> None:
    async with SmallUas() as uas:
        result = await sipp(
            f"127.0.0.1:{uas.port}", "-sf", str(SCENARIOS / "register.xml"), "-m", "20", "-r", "40", cwd=tmp_path
        )
        assert (result.code, result.successful, result.failed) == (0, 20, 0), result.output
        assert len(uas.registered) == 20


async def test_a_lost_200_is_repeated_and_a_lost_ack_too(tmp_path: Path) -> None:
    """Of each call the first two 200 are lost, and the first ACK: only the UAS core's repetition can save it."""
    seen: Counter[tuple[bytes, bytes]] = Counter()

    def drop(data: bytes, from_server: bool) -> bool:
        call_id = data.partition(b"Call-ID: ")[2].partition(b"\r\n")[0]
        if from_server and data.startswith(b"SIP/2.0 200") and b"INVITE" in data:
            seen[call_id, b"200"] += 1
            return seen[call_id, b"200"] <= 2
        if data.startswith(b"ACK "):
            seen[call_id, b"ACK"] += 1
            return seen[call_id, b"ACK"] == 1
        return False

    async with SmallUas() as uas, LossyWire(("127.0.0.1", uas.port), drop) as wire:
        result = await sipp(f"127.0.0.1:{wire.port}", "-sn", "uac", "-m", "5", "-r", "5", "-d", "6000", cwd=tmp_path)
        assert (result.code, result.successful, result.failed) == (0, 5, 0), result.output
        assert wire.dropped["SIP/2.0 200 OK"] == 10
        assert (uas.acks, uas.byes, uas.ack_timeouts) == (5, 5, 0)
        # Sent at 0, 0.5, 1.5 (this one arrives, its ACK is lost), 3.5 (its ACK arrives).
        assert uas.sip.statistics["repeated"] == 15


async def test_one_packet_in_ten_lost_both_ways(tmp_path: Path) -> None:
    async with SmallUas() as uas:
        result = await sipp(
            f"127.0.0.1:{uas.port}", "-sn", "uac", "-m", "20", "-r", "20", "-d", "200", "-lost", "10", cwd=tmp_path
        )
        assert (result.successful, result.failed) == (20, 0), result.output
        assert uas.byes == 20


async def test_a_caller_that_never_acknowledges_is_hung_up(tmp_path: Path) -> None:
    def drop(data: bytes, from_server: bool) -> bool:
        return data.startswith(b"ACK ")

    async with SmallUas(timers=Timers(t1=0.02)) as uas, LossyWire(("127.0.0.1", uas.port), drop) as wire:
        await sipp(f"127.0.0.1:{wire.port}", "-sn", "uac", "-m", "1", "-d", "3000", cwd=tmp_path)
        await eventually(lambda: uas.ack_timeouts == 1)
        assert sum(entry.first_line.startswith("BYE ") and entry.direction == "out" for entry in uas.ladder) >= 1
