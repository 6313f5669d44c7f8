"""Identifiers: 128 bits in Crockford's base 32, which sort as the numbers that they stand for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sivo.base.ids import crockford, event_id, ulid

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
numbers = st.integers(0, 2**128 - 1)


@given(numbers)
def test_crockford_is_26_digits_of_its_alphabet(value: int) -> None:
    text = crockford(value)
    assert len(text) == 26
    assert sum(ALPHABET.index(digit) << 5 * place for place, digit in enumerate(reversed(text))) == value


@given(numbers, numbers)
def test_crockford_sorts_as_its_number(one: int, other: int) -> None:
    assert (crockford(one) < crockford(other)) == (one < other)


def test_a_ulid_begins_with_its_time() -> None:
    assert ulid(0)[:10] == "0000000000"
    assert ulid(1_772_323_200_000)[:10] < ulid(1_772_323_200_001)[:10]
    assert event_id().startswith("evt_")
    assert len(event_id()) == 30
