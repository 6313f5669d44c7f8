"""Every key has a test of when it takes effect, for each part of the class that its declaration names."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from sivo.config.key import When
from sivo.config.registry import KEYS
from support.conformance import WAITING
from support.moments import AT_ONCE, MOMENTS, PARTS

TESTS = Path(__file__).parents[2]
#: Nothing reads these before the subsystem is there; as soon as it is, they need a case.
LATER = {one.key for one in WAITING if one.subsystem == "Salesforce" and not one.over()}


def test_every_key_has_a_case_for_each_part_of_its_class() -> None:
    assert set(PARTS) == set(When)
    assert set(MOMENTS) == set(KEYS) - LATER, "keys without a case, or cases of keys that wait or do not exist"
    assert {name: set(cases) for name, cases in MOMENTS.items()} == {name: PARTS[KEYS[name].when] for name in MOMENTS}


@pytest.mark.parametrize("node", sorted({one for cases in MOMENTS.values() for one in cases.values()}))
def test_a_case_is_a_test_that_speaks_of_its_keys(node: str) -> None:
    source = _source(node)
    named = [key for key, cases in MOMENTS.items() if node in cases.values()]
    assert [key for key in named if f'"{key}"' not in source] == []


def test_safety_switches_and_revocations_have_their_tests() -> None:
    assert all(_source(node) for node in AT_ONCE.values())
    assert {"recording policy off", "transcription policy off", "API key revoked", "session ended"} <= set(AT_ONCE)


def _source(node: str) -> str:
    """Text of the module of a test that exists."""
    path, _, test = node.partition("::")
    source = (TESTS / path).read_text(encoding="utf-8")
    functions = [one for one in ast.walk(ast.parse(source)) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert test in [one.name for one in functions], node
    return source
