"""Cursors and entity tags: what was encoded comes back, what a client made up is refused with its place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sivo.api import page
from sivo.api.etag import etag, if_match
from sivo.base.errors import SivoError


@given(st.lists(st.one_of(st.text(max_size=40), st.integers(-(2**50), 2**50)), min_size=1, max_size=3))
def test_a_cursor_comes_back(position: list[str | int]) -> None:
    assert page.decode(page.encode(position), len(position)) == position


@pytest.mark.parametrize("cursor", ["", "!!", "abc", page.encode(["x", "y"]), "e30"])
def test_a_made_up_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(SivoError) as caught:
        page.decode(cursor, 1)
    assert (caught.value.code, caught.value.where) == ("VALIDATION_FAILED", "query.cursor")


def test_pages_walk_through_everything_once() -> None:
    rows, seen, cursor = list(range(7)), [], None
    while True:
        after = page.decode(cursor, 1)
        start = 0 if after is None else rows.index(after[0]) + 1
        answer = page.page(rows[start : start + 4], 3, lambda row: [row])
        seen += answer["items"]
        cursor = answer["next"]
        if cursor is None:
            break
    assert seen == rows


def test_no_rows_is_one_empty_page() -> None:
    assert page.page([], 3, lambda row: [row]) == {"items": [], "next": None}


@pytest.mark.parametrize(("header", "version"), [(None, None), ("*", None), ('"7"', 7), ('W/"7"', 7), (etag(0), 0)])
def test_if_match(header: str | None, version: int | None) -> None:
    assert if_match(header) == version


@pytest.mark.parametrize("header", ["7", '"x"', '"1", "2"', ""])
def test_if_match_refuses_what_is_no_tag_of_ours(header: str) -> None:
    with pytest.raises(SivoError, match="If-Match"):
        if_match(header)
