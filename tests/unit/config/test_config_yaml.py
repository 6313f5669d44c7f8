"""YAML of the configuration plane: every value comes back, and what could harm is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sivo.base.errors import SivoError
from sivo.config.desired import parse
from sivo.config.yaml_text import dump, load

#: What a database of ours can hold: no NUL, no lone surrogates.
TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=("Cs",)), max_size=40)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=15,
)


@given(VALUES)
def test_what_is_written_is_what_is_read(value: Any) -> None:
    text = dump(value)
    assert load(text) == value
    assert dump(load(text)) == text


@pytest.mark.parametrize(
    "word", ["no", "on", "2026-03-01", "1e3", "0100", "null", "~", "12:30:45", "=", "<<", "|", "- a"]
)
def test_words_that_yaml_would_take_for_something_else_stay_words(word: str) -> None:
    assert load(dump({word: word})) == {word: word}


def test_a_prompt_of_several_lines_is_readable() -> None:
    assert dump({"prompt": "You are Ana.\nBe short.\n"}) == "prompt: |\n  You are Ana.\n  Be short.\n"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("a: &x [1]\nb: *x\n", "aliases"),
        ("keys:\n  a: 1\n  a: 2\n", "twice"),
        ("1: 2\n", "not text"),
        ("[" * 60 + "]" * 60, "deep"),
        ("a: [", "line"),
        ("a: !!python/object:os.system x", "line"),
    ],
)
def test_what_could_harm_is_refused_with_its_line(text: str, word: str) -> None:
    with pytest.raises(SivoError, match=word) as caught:
        load(text)
    assert caught.value.code == "VALIDATION_FAILED"


def test_a_date_is_text() -> None:
    assert load("a: 2026-03-01\n") == {"a": "2026-03-01"}


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("- a\n", "document"),
        ("format: 9\n", "format"),
        ("format: 1\nkey: {}\n", "key"),
        ("format: 1\nkeys: []\n", "keys"),
        ("format: 1\nresources: {phones: []}\n", "resources.phones"),
        ("format: 1\nresources: {dids: {}}\n", "resources.dids"),
        ("format: 1\nresources: {tenants: []}\n", "resources.tenants"),
    ],
)
def test_a_document_of_another_shape_is_refused_by_name(text: str, where: str) -> None:
    with pytest.raises(SivoError) as caught:
        parse(text)
    assert caught.value.where == where
