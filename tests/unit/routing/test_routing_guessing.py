"""Password guessing: slowed, banned, forgotten, on a virtual clock."""

from uuid import UUID

from sivo.routing.guessing import FIRST_BAN, LONGEST_BAN, MOST, Guessing

TENANT = UUID(int=1)
ACCOUNT = (TENANT, "100")
HOST = "203.0.113.9"


def test_three_wrong_ones_cost_nothing_then_it_gets_slower() -> None:
    guard = Guessing()
    now = 0.0
    for _ in range(3):
        assert guard.heard(HOST, ACCOUNT, now)
        assert guard.wrong(HOST, ACCOUNT, now) == []
    waits = []
    for _ in range(5):
        assert guard.heard(HOST, ACCOUNT, now)
        guard.wrong(HOST, ACCOUNT, now)
        before = now
        while not guard.heard(HOST, ACCOUNT, now):
            now += 0.5
        waits.append(now - before)
    assert waits == [1, 2, 4, 8, 16]


def guess_until_banned(
    guard: Guessing, source: str, account: tuple[UUID, str], now: float
) -> tuple[list[object], float]:
    for _ in range(MOST):
        while not guard.heard(source, account, now):
            now += 1
        bans = guard.wrong(source, account, now)
    return list(bans), now


def test_ten_wrong_ones_are_a_ban_of_source_and_account_and_the_next_is_longer() -> None:
    guard = Guessing()
    bans, now = guess_until_banned(guard, HOST, ACCOUNT, 0.0)
    assert [(ban.kind, ban.subject, ban.seconds) for ban in bans] == [  # type: ignore[attr-defined]
        ("source", HOST, FIRST_BAN),
        ("account", "100", FIRST_BAN),
    ]
    assert not guard.heard(HOST, (TENANT, "101"), now + FIRST_BAN - 1)
    assert not guard.heard("198.51.100.1", ACCOUNT, now + FIRST_BAN - 1)
    assert guard.heard("198.51.100.1", (TENANT, "101"), now)
    assert guard.heard(HOST, ACCOUNT, now + FIRST_BAN)
    seconds = []
    for _ in range(8):
        bans, now = guess_until_banned(guard, HOST, ACCOUNT, now)
        seconds.append(bans[0].seconds)  # type: ignore[attr-defined]
    assert seconds[:2] == [120, 240]
    assert seconds[-1] == LONGEST_BAN


def test_one_guesser_does_not_lock_out_those_who_were_right() -> None:
    guard = Guessing()
    guard.right(HOST, (TENANT, "101"), 0.0)
    guard.right("192.0.2.7", ACCOUNT, 0.0)
    _, now = guess_until_banned(guard, HOST, ACCOUNT, 0.0)
    assert guard.heard(HOST, (TENANT, "101"), now)  # behind the same address
    assert guard.heard("192.0.2.7", ACCOUNT, now)  # the account's own phone
    assert not guard.heard(HOST, ACCOUNT, now)


def test_many_sources_with_one_account_are_seen_too() -> None:
    guard = Guessing()
    bans = [ban for number in range(MOST) for ban in guard.wrong(f"198.51.100.{number}", ACCOUNT, 0.0)]
    assert [(ban.kind, ban.subject) for ban in bans] == [("account", "100")]


def test_a_ban_can_be_lifted_and_memory_is_bounded() -> None:
    guard = Guessing(memory=100)
    _, now = guess_until_banned(guard, HOST, ACCOUNT, 0.0)
    guard.lift("source", HOST, TENANT)
    guard.lift("account", "100", TENANT)
    assert guard.heard(HOST, ACCOUNT, now)
    for number in range(5000):
        guard.wrong(f"host-{number}", (TENANT, str(number)), now)
        guard.right(f"host-{number}", (TENANT, str(number)), now)
    assert len(guard) <= 200
