"""SIPp brings calls faster than people do; none fails and nothing of them stays behind."""

from __future__ import annotations

import asyncio
from pathlib import Path

from call_house import DID, House

CALLS = 60


async def test_sixty_calls_leave_nothing_behind(house: House, tmp_path: Path) -> None:
    arguments = f"-sn uac 127.0.0.1:{house.settings.sip_port} -s {DID} -i 127.0.0.8 -p 33070 -mp 33080"
    limits = f"-r 15 -m {CALLS} -d 1000 -nostdin -timeout 60s"
    sipp = await asyncio.create_subprocess_exec(
        "sipp",
        *arguments.split(),
        *limits.split(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=tmp_path,
    )
    output, _ = await sipp.communicate()
    assert sipp.returncode == 0, output.decode()[-3000:]
    await house.settled(lambda: len(house.node.exchange) == 0, timeout=15)
    rows = await house.fetch(
        "select state, finished, hangup_cause, count(*) as calls from call group by 1, 2, 3 order by 4"
    )
    assert [dict(row) for row in rows] == [
        {"state": "ended", "finished": True, "hangup_cause": "NORMAL_CLEARING", "calls": CALLS}
    ]
    assert len(await house.fetch("select 1 from recording where state = 'pending'")) == CALLS
    services = house.node.services
    assert (services.recorder.backlog, services.recorder.failed) == (0, 0)
    assert services.media.links[0].sessions == set()
