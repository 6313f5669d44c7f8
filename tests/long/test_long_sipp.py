"""SIPp brings calls at the rates of a busy hour: none fails, and 5 s later nothing of them is held.

``SIVO_TEST_SIPP_SECONDS`` (20) shortens the runs, ``SIVO_TEST_SIPP_SHARE`` (1.0) lowers the rates for slow machines.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from support import holdings, provider_double
from support.ai_desk import GREETING, PITCH, open_desk
from support.company import Company, open_company, spread
from support.ears import Ears
from support.kills import pids, rows
from support.ports import free_port
from support.provider_double import Double
from support.raw_phone import RawPhone
from support.running_node import CARRIER, Node, running_node
from support.sipp_run import Counted, Running, sipp, started

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]

SECONDS = int(os.environ.get("SIVO_TEST_SIPP_SECONDS", "20"))
SHARE = float(os.environ.get("SIVO_TEST_SIPP_SHARE", "1"))
SCENARIOS = Path(__file__).parent / "sipp"
MEDIA = 2
#: Everything is given back this many seconds after the last BYE.
BACK_SECONDS = 5.0
_PORTS = range(35000, 35080)


@dataclass
class Hall:
    """A node, a tenant of people, and the extension at which SIPp answers."""

    node: Node
    double: Double
    company: Company
    cwd: Path
    #: Where that extension's phone is.
    phone_port: int

    @property
    def server(self) -> str:
        """For SIPp's command line."""
        return self.node.proxy

    @asynccontextmanager
    async def answering(self, *options: str) -> AsyncIterator[Running]:
        """SIPp's ``uas`` as the phone of extension 202, registered with the password of that extension."""
        # Registered from the socket at which SIPp will answer: that is where calls go to (as behind NAT).
        server = ("127.0.0.1", self.node.platform.ports.sip)
        _, phone = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: RawPhone("202", self.company.domain, self.company.passwords["202"], server),
            local_addr=("127.0.0.1", self.phone_port),
        )
        assert (await phone.register(3600)).status == 200
        phone.close()
        await asyncio.sleep(0.1)
        where = ("-i", "127.0.0.1", "-mi", "127.0.0.1", "-p", str(self.phone_port), "-mp", "35200")
        async with started("-sn", "uas", *where, *options, cwd=self.cwd) as process:
            await asyncio.sleep(0.5)
            yield process

    async def bring(self, scenario: str, *options: str, rate: float, calls: int, timeout: float = 120) -> Counted:
        """SIPp as the carrier."""
        way = ("-sn", scenario) if not scenario.endswith(".xml") else ("-sf", str(SCENARIOS / scenario))
        port = free_port(socket.SOCK_DGRAM, CARRIER)
        where = ("-i", CARRIER, "-mi", CARRIER, "-p", str(port), "-mp", "35300")
        load = ("-r", f"{rate:.3f}" if rate < 1 else str(round(rate)), "-m", str(calls))
        return await sipp(self.server, *way, *where, *load, *options, cwd=self.cwd, timeout=timeout)

    async def ended(self, tenant_id: str, since: int) -> dict[str, int]:
        """CDRs of a tenant after the first ``since``, by cause; calls that are not finished as ``"open"``."""
        found = await rows(
            self.node,
            "select case when finished then hangup_cause else 'open' end as cause, count(*) as calls from "
            "(select * from call where tenant_id = $1 order by created_at offset $2) as one group by 1",
            tenant_id,
            since,
        )
        return {row["cause"]: row["calls"] for row in found}

    async def number_of_calls(self, tenant_id: str) -> int:
        """So far."""
        found = await rows(self.node, "select count(*) as calls from call where tenant_id = $1", tenant_id)
        return int(found[0]["calls"])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hall(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hall]:
    settings = {"SIVO_OPERATOR_PORT": str(free_port()), "SIVO_MEDIA_CALL_CAP": "500"}
    async with (
        provider_double.serve(_PORTS) as double,
        running_node(MEDIA, [f"127.0.0.1/32:{double.port}"], settings) as node,
    ):
        company = await open_company(node, recording=False)
        yield Hall(node, double, company, tmp_path_factory.mktemp("sipp"), free_port(socket.SOCK_DGRAM))


async def measured(hall: Hall, tenant_id: str, calls: int, run: Callable[[], Awaitable[Counted]]) -> Counted:
    """Run after a warm-up (pools and caches belong to the node, not to calls); what every run has to leave."""
    before = await asyncio.to_thread(holdings.look, hall.node, MEDIA)
    written = await hall.number_of_calls(tenant_id)
    (pid,) = pids(hall.node, "call")
    worked = holdings.processor_seconds(pid)
    found = await run()
    worked = holdings.processor_seconds(pid) - worked
    after, took = await holdings.back(hall.node, before, MEDIA, BACK_SECONDS)
    print(
        f"\n{calls} calls: {found.successful} successful, {found.failed} failed, {found.retransmissions} repeated; "
        f"{1000 * worked / calls:.1f} ms of call's processor a call; held before {before}, {took:.1f} s after {after}"
    )
    assert (found.successful, found.failed) == (calls, 0), found.output
    assert after.within(before), (before, after)
    for _ in range(50):
        if (await hall.ended(tenant_id, written)) == {"NORMAL_CLEARING": calls}:
            return found
        await asyncio.sleep(0.2)
    raise AssertionError(await hall.ended(tenant_id, written))


async def test_fifty_calls_a_second_to_a_phone(hall: Hall) -> None:
    rate = 50 * SHARE
    calls = round(rate * SECONDS)

    async def run() -> Counted:
        return await hall.bring("uac", "-s", hall.company.did, "-d", "1000", rate=rate, calls=calls)

    async with hall.answering() as phone:
        await hall.bring("uac", "-s", hall.company.did, "-d", "1000", rate=rate, calls=round(2 * rate))
        await measured(hall, hall.company.tenant_id, calls, run)
        phone.process.terminate()
        answered = await phone.done(10)
    assert answered.failed == 0, answered.output


async def test_ten_calls_a_second_hear_the_agent(hall: Hall) -> None:
    rate = 10 * SHARE
    desk = await open_desk(hall.node, hall.double)
    await asyncio.sleep(2.0)

    async def run(calls: int) -> tuple[Counted, Ears]:
        ears = Ears(CARRIER)
        await ears.open(calls)
        lines = [f"+3469{number:06};{CARRIER};{ear.port};" for number, ear in enumerate(ears.all)]
        fields = hall.cwd / "ears.csv"
        fields.write_text("\n".join(["SEQUENTIAL", *lines]) + "\n")
        try:
            return await hall.bring("heard.xml", "-s", desk.number, "-inf", str(fields), rate=rate, calls=calls), ears
        finally:
            ears.close()

    calls = round(rate * SECONDS)
    heard: list[Ears] = []

    async def all_of_them() -> Counted:
        found, ears = await run(calls)
        heard.append(ears)
        return found

    await run(round(4 * rate))
    await measured(hall, desk.tenant_id, calls, all_of_them)
    tones = sorted(ear.tone_ms(PITCH[GREETING]) for ear in heard[0].all)
    print(f"greeting heard for {tones[0]} to {tones[-1]} ms; frames sent {min(ear.sent for ear in heard[0].all)}")
    assert tones[0] >= 300, tones
    assert all(ear.sent >= 140 for ear in heard[0].all)
    assert not desk.account.offences


async def test_five_of_a_hundred_messages_are_lost(hall: Hall) -> None:
    calls = round(200 * SHARE)

    async def run() -> Counted:
        return await hall.bring(
            "uac", "-s", hall.company.did, "-d", "1000", "-lost", "5", rate=10 * SHARE, calls=calls, timeout=200
        )

    async with hall.answering("-lost", "5"):
        found = await measured(hall, hall.company.tenant_id, calls, run)
    assert found.retransmissions > 0, "nothing was lost"


async def test_registrations_and_calls_branch(hall: Hall) -> None:
    """Half of the calls are answered, half go to nobody: SIPp's branches for 401, 404 and 200."""
    company, calls = hall.company, round(100 * SHARE)
    digest = f"[authentication username=201 password={company.passwords['201']}]"
    lines = [f"201;{digest};{('202', '999')[number % 2]};{company.domain};" for number in range(calls)]
    fields = hall.cwd / "branches.csv"
    fields.write_text("\n".join(["SEQUENTIAL", *lines]) + "\n")
    async with hall.answering():
        where = ("-i", "127.0.0.1", "-mi", "127.0.0.1", "-p", str(free_port(socket.SOCK_DGRAM)), "-mp", "35400")
        found = await sipp(
            hall.server, "-sf", str(SCENARIOS / "branch.xml"), *where, "-inf", str(fields),
            "-r", str(max(round(10 * SHARE), 1)), "-m", str(calls), cwd=hall.cwd, timeout=120,
        )  # fmt: skip
    assert (found.successful, found.failed) == (calls, 0), found.output


async def test_a_third_party_connects_two_calls(hall: Hall) -> None:
    """SIPp's 3pcc controller: an offerless INVITE to A, A's offer to B, B's answer in the ACK to A."""
    company, calls = hall.company, round(40 * SHARE)
    second = f"+3495{company.did[-7:]}"
    body = {"number": second, "trunk": company.ids["trunk"], "target": {"kind": "extension", "id": company.ids["202"]}}
    await company.make("dids", body)
    await spread(company)
    desk = f"127.0.0.1:{free_port()}"

    def side(name: str, number: str, port: int) -> tuple[str, ...]:
        return (
            hall.server, "-sn", name, "-3pcc", desk, "-s", number, "-i", CARRIER, "-mi", CARRIER,
            "-p", str(free_port(socket.SOCK_DGRAM, CARRIER)), "-mp", str(port), "-m", str(calls),
        )  # fmt: skip

    async with hall.answering(), started(*side("3pcc-C-B", second, 35500), cwd=hall.cwd) as other:
        await asyncio.sleep(1.0)
        rate = str(max(round(5 * SHARE), 1))
        found = await sipp(*side("3pcc-C-A", company.did, 35600), "-r", rate, cwd=hall.cwd, timeout=120)
        answered = await other.done(30)
    assert (found.successful, found.failed) == (calls, 0), found.output
    assert (answered.successful, answered.failed) == (calls, 0), answered.output
