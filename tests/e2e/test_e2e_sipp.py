"""SIPp against a whole node: dialogs and transactions as another implementation sees them."""

from __future__ import annotations

import asyncio
import re
import socket
from pathlib import Path

import pytest

from sivo.demo.platform import free_port
from support.ai_desk import Desk, open_desk
from support.company import Company
from support.provider_double import Double
from support.raw_phone import Message, RawPhone, sdp
from support.running_node import CARRIER, Node

pytestmark = pytest.mark.asyncio(loop_scope="session")

SCENARIOS = Path(__file__).parent / "sipp"


async def sipp(scenario: str, server: tuple[str, int], number: str, *options: str, host: str = CARRIER) -> None:
    """Run one scenario once; AssertionError with SIPp's own words when it did not go as written there."""
    process = await asyncio.create_subprocess_exec(
        "sipp", f"{server[0]}:{server[1]}", "-sf", str(SCENARIOS / f"{scenario}.xml"), "-s", number, "-m", "1",
        "-i", host, "-mi", host, "-p", str(free_port(0, socket.SOCK_DGRAM)), "-timeout", "20s", "-timeout_error",
        "-trace_err", "-error_file", "/dev/stderr", "-nostdin", *options,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode(errors="replace")[-4000:]


def server_of(node: Node) -> tuple[str, int]:
    """Where SIP is served."""
    return "127.0.0.1", node.platform.ports.sip


async def _desk(node: Node, double: Double) -> Desk:
    desk = await open_desk(node, double)
    await asyncio.sleep(1.0)
    return desk


async def test_invite_ack_bye(node: Node, double: Double) -> None:
    desk = await _desk(node, double)
    await sipp("call", server_of(node), desk.number)
    trace = await desk.trace("+34600200100")
    assert (trace["call"]["hangup_cause"], trace["call"]["hangup_by"]) == ("NORMAL_CLEARING", "caller")
    ladder = [message["summary"].split(" sip:")[0] for message in trace["sip"]]
    assert [line for line in ladder if line.startswith(("INVITE", "ACK", "BYE"))] == ["INVITE", "ACK", "BYE"]
    assert next(leg for leg in trace["legs"] if leg["kind"] == "caller")["codec"] in ("PCMU", "PCMA")


async def test_a_lost_ack_brings_the_200_again(node: Node, double: Double) -> None:
    desk = await _desk(node, double)
    await sipp("lost_ack", server_of(node), desk.number, "-nr")
    trace = await desk.trace("+34600200101")
    assert trace["call"]["hangup_cause"] == "NORMAL_CLEARING"


async def test_cancel_while_it_rings(company: Company) -> None:
    async with company.phone("202") as phone:
        phone.auto_answer, phone.rtp_port = 180, 4000
        assert (await phone.register()).status == 200
        await sipp("cancel", company.sip, company.did)
        await phone.wait("CANCEL")
    cdr = await company.ended("+34600200102")
    assert (cdr["hangup_cause"], cdr["answered_at"]) == ("ORIGINATOR_CANCEL", None)


async def test_options(company: Company) -> None:
    await sipp("options", company.sip, "x")


async def test_an_extension_calls_with_its_digest(company: Company, tmp_path: Path) -> None:
    async with company.phone("202") as phone:
        phone.auto_answer, phone.rtp_port = 200, 4000
        assert (await phone.register()).status == 200
        fields = tmp_path / "fields.csv"
        digest = f"[authentication username=201 password={company.passwords['201']}]"
        fields.write_text(f"SEQUENTIAL\n201;{company.domain};{digest};\n")
        await sipp("extension", company.sip, "202", "-inf", str(fields), host="127.0.0.1")
        await phone.wait("BYE")
    assert (await company.ended("201"))["hangup_cause"] == "NORMAL_CLEARING"


async def test_an_invite_that_comes_again_is_one_call(company: Company) -> None:
    async with company.phone("202") as phone, company.carrier("+34600200103") as carrier:
        phone.auto_answer, phone.rtp_port = 200, 4000
        assert (await phone.register()).status == 200
        invite = carrier.request("INVITE", f"sip:{company.did}@127.0.0.1", sdp(carrier.host, 4000))
        for _ in range(3):
            carrier.send(invite)
            await asyncio.sleep(0.05)
        answer = await carrier.wait((200, "INVITE"))
        await _hang_up(carrier, answer)
    assert (await company.ended("+34600200103"))["hangup_by"] == "caller"
    assert len((await company.api("GET", "/api/calls"))["items"]) == 1


async def _hang_up(phone: RawPhone, answer: Message) -> None:
    phone.to_tag = re.search(r"tag=([^;>]+)", answer.headers["to"]).group(1)  # type: ignore[union-attr]
    phone.remote_target = re.search(r"<([^>]+)>", answer.headers["contact"]).group(1)  # type: ignore[union-attr]
    phone.ack(answer, phone.remote_target)
    assert (await phone.bye()).status == 200
