"""Who is heard on a port that somebody else still sends to."""

from __future__ import annotations

from sivo.media.latch import Latch

NAMED, OTHER, THIRD = ("127.0.0.1", 4000), ("127.0.0.1", 5000), ("127.0.0.1", 6000)


def test_the_address_of_the_sdp_takes_the_place_of_one_that_was_first() -> None:
    latch = Latch()
    latch.negotiate(*NAMED)
    assert latch.accept(OTHER) and latch.destination == OTHER, "moved ports are heard"
    assert latch.accept(NAMED) and latch.destination == NAMED
    assert not latch.accept(OTHER) and not latch.accept(THIRD)
    assert latch.strangers == 2


def test_behind_nat_the_address_of_the_sdp_means_nothing() -> None:
    latch = Latch()
    latch.negotiate("10.0.0.7", 4000, any_host=True)
    assert latch.accept(OTHER)
    assert not latch.accept(("10.0.0.7", 4000))
    assert latch.destination == OTHER
