"""Phones of an office that come back all at once. The long tier brings 5,000 of them."""

from __future__ import annotations

from call_house import PASSWORD, House

from support.register_storm import PER_EXTENSION, register_storm

EXTENSIONS, RATE = 20, 70


async def test_an_office_registers_at_once(house: House) -> None:
    numbers = [str(300 + number) for number in range(EXTENSIONS)]
    for number in numbers:
        await house.create("extension", {"number": number, "sip_password": PASSWORD})
    known = house.node.services.directory
    await house.settled(lambda: known.current.extension(house.tenant, numbers[-1]) is not None)
    storm = await register_storm(house.sip, house.domain, dict.fromkeys(numbers, PASSWORD), RATE)
    print(storm.line())
    assert storm.failed == []
    assert await house.node.services.recorder.drain(10)
    rows = await house.fetch("select count(*) as phones from registration")
    assert rows[0]["phones"] == storm.phones == EXTENSIONS * PER_EXTENSION
