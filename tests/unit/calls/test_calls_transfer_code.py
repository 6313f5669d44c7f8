"""Keys that pass a call on: which of them are a code, a number and the end, in virtual time."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sivo.calls.transfer_code import MOST_DIGITS, PAUSE_MS, CodeReader


def pressed(keys: str, code: str = "*2", pause_ms: int = 100) -> list[str]:
    """Numbers that came of these keys."""
    reader = CodeReader(code)
    found = [reader.press(key, 1_000_000 + n * pause_ms) for n, key in enumerate(keys)]
    return [number for number in found if number]


@pytest.mark.parametrize(
    ("keys", "numbers"),
    [
        ("*2101#", ["101"]),
        ("5*2101#", ["101"]),
        ("**2101#", ["101"]),
        ("*2*2101#", ["101"]),
        ("*21*2101#", ["101"]),
        ("*2101*2102#", ["102"]),
        ("*2101#*2102#", ["101", "102"]),
        ("*2#101#", []),
        ("*3101#", []),
        ("2101#", []),
        ("*2101", []),
        ("*2A101#", []),
        ("#*2101##", ["101"]),
        ("*2" + "1" * MOST_DIGITS + "#", ["1" * MOST_DIGITS]),
        ("*2" + "1" * (MOST_DIGITS + 1) + "#", []),
    ],
)
def test_what_is_a_transfer(keys: str, numbers: list[str]) -> None:
    assert pressed(keys) == numbers


def test_a_code_that_begins_with_the_end_key() -> None:
    assert pressed("#9101#", "#9") == ["101"]
    assert pressed("##9101#", "#9") == ["101"]


def test_who_rests_too_long_begins_anew() -> None:
    assert pressed("*2101#", pause_ms=PAUSE_MS) == ["101"]
    assert pressed("*2101#", pause_ms=PAUSE_MS + 1) == []


@settings(max_examples=300)
@given(st.text("0123456789*#", max_size=40), st.sampled_from(["*2", "#9", "*123"]), st.randoms(use_true_random=False))
def test_a_whole_code_is_found_behind_any_keys(noise: str, code: str, rng: random.Random) -> None:
    """Whatever was pressed before, once the person has rested."""
    reader = CodeReader(code)
    for n, key in enumerate(noise):
        reader.press(key, n * rng.randint(1, 200))
    found = [reader.press(key, 1_000_000 + n) for n, key in enumerate(f"{code}4711#")]
    assert found[-1] == "4711"
    assert not any(found[:-1])
