"""Who may speak to us: digest, wrong user, strangers, trunks and DIDs."""

from __future__ import annotations

import asyncio


async def test_register_needs_the_right_password(house) -> None:
    phone = await house.phone("100")
    answer = await phone.register()
    assert answer.status == 200
    assert f"sip:100@{phone.host}:{phone.port}" in answer.headers["contact"]
    assert phone.inbox[0].status == 401
    wrong = await house.phone("100", "not the password")
    assert (await wrong.register()).status == 401
    row = await house.until("select * from registration")
    assert (row["extension"], row["source_port"]) == ("100", phone.port)
    assert (await phone.register(expires=0)).status == 200
    for _ in range(100):
        if not await house.fetch("select 1 from registration"):
            break
        await asyncio.sleep(0.05)
    assert await house.fetch("select 1 from registration") == []
