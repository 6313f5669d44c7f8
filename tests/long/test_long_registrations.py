"""5,000 phones come back after a power cut, 70 new ones a second: none fails, and all of them are written down.

``SIVO_TEST_PHONES`` (5000) and ``SIVO_TEST_PHONE_RATE`` (70) make it smaller.
"""

from __future__ import annotations

import asyncio
import os
import time

import pytest

from support.company import spread
from support.kills import pids, rows
from support.place_to_hurt import Place
from support.register_storm import PER_EXTENSION, register_storm

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(1200)]

PHONES = int(os.environ.get("SIVO_TEST_PHONES", "5000"))
RATE = float(os.environ.get("SIVO_TEST_PHONE_RATE", "70"))
COUNT = "select count(*) as phones from registration where tenant_id = $1::text::uuid and expires_at > now()"


async def test_a_storm_of_registrations(place: Place) -> None:
    company = place.company
    passwords = {}
    for number in range(PHONES // PER_EXTENSION):
        made = await company.make("extensions", {"number": str(3000 + number)})
        passwords[str(3000 + number)] = str(made["sip_password"])
    await spread(company)
    (pid,) = pids(place.node, "call")
    before = _cpu_s(pid)
    storm = await register_storm(company.sip, company.domain, passwords, RATE)
    used = _cpu_s(pid) - before
    print(f"\n{storm.line()}; {used / storm.phones * 1000:.2f} ms of a core a phone", flush=True)
    assert storm.failed == []
    await _until(place, storm.phones)


async def _until(place: Place, phones: int) -> None:
    deadline = time.monotonic() + 30
    while (found := (await rows(place.node, COUNT, place.company.tenant_id))[0]["phones"]) < phones:
        assert time.monotonic() < deadline, f"{found} of {phones} are written down"
        await asyncio.sleep(0.2)


def _cpu_s(pid: int) -> float:
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
