"""Password hashing: parameters, the bounded queue, and equal work for unknown users."""

import asyncio

import pytest
from argon2 import extract_parameters

from sivo.base.errors import SivoError
from sivo.identity.passwords import Passwords, check_length


@pytest.fixture
def passwords():
    service = Passwords(queue_limit=3)
    yield service
    service.close()


async def test_hash_has_the_declared_parameters_and_verifies(passwords: Passwords) -> None:
    stored = await passwords.hash("correct horse")
    parameters = extract_parameters(stored)
    assert (parameters.type.name, parameters.time_cost, parameters.memory_cost, parameters.parallelism) == (
        "ID",
        2,
        19 * 1024,
        1,
    )
    assert await passwords.verify(stored, "correct horse")
    assert not await passwords.verify(stored, "correct hors")
    assert not passwords.outdated(stored)
    assert passwords.outdated(stored.replace("t=2", "t=1"))


async def test_unknown_user_is_hashed_too_and_refused(passwords: Passwords, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    real = passwords._matches
    monkeypatch.setattr(passwords, "_matches", lambda stored, given: seen.append(stored) or real(stored, given))
    assert not await passwords.verify(None, "anything")
    assert seen and seen[0].startswith("$argon2id$v=19$m=19456,t=2,p=1$")


async def test_a_broken_hash_is_a_wrong_password(passwords: Passwords) -> None:
    assert not await passwords.verify("not a hash", "x")


async def test_a_full_queue_is_answered_at_once(passwords: Passwords) -> None:
    stored = await passwords.hash("pw")
    waiting = [asyncio.create_task(passwords.verify(stored, "pw")) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(SivoError) as caught:
        await passwords.verify(stored, "pw")
    assert (caught.value.code, caught.value.status) == ("UNAVAILABLE", 503)
    assert caught.value.details["retry_after"] >= 1
    assert await asyncio.gather(*waiting) == [True, True, True]
    assert await passwords.verify(stored, "pw"), "the queue is free again"


def test_length_is_counted_in_characters_and_the_number_is_in_the_message() -> None:
    check_length("ñandúñan", 8)
    with pytest.raises(SivoError, match="shorter than 12 characters") as caught:
        check_length("elevenchars", 12)
    assert caught.value.details["minimum"] == 12
    check_length("x" * 1024, 8)
    with pytest.raises(SivoError, match="longer than"):
        check_length("x" * 1025, 8)
