import pytest
from hypothesis import given
from hypothesis import strategies as st

from sivo.sip import Headers
from sivo.sip.headers import COMPACT


def test_names_match_without_case_and_in_compact_form() -> None:
    headers = Headers([("v", "SIP/2.0/UDP a"), ("i", "x"), ("CONTACT", "<sip:a@b>")])
    assert headers.get("Via") == "SIP/2.0/UDP a"
    assert headers.get("call-id") == "x"
    assert "m" in headers
    assert [name for name, _ in headers.items()] == ["Via", "Call-ID", "Contact"]


@pytest.mark.parametrize(("short", "name"), COMPACT.items())
def test_every_compact_form_is_its_long_name(short: str, name: str) -> None:
    headers = Headers([(short, "value")])
    assert headers.get(name) == "value"
    assert [shown.lower() for shown, _ in headers.items()] == [name.lower()]


def test_comma_lists_are_split_only_outside_quotes_and_brackets() -> None:
    headers = Headers([("Contact", '"Doe, J" <sip:a@b?x=1,2>, <sip:c@d>'), ("Contact", "<sip:e@f>")])
    assert headers.all("Contact") == ['"Doe, J" <sip:a@b?x=1,2>', "<sip:c@d>", "<sip:e@f>"]
    assert headers.get("Contact") == '"Doe, J" <sip:a@b?x=1,2>'


def test_headers_that_are_no_lists_keep_their_commas() -> None:
    headers = Headers([("Authorization", 'Digest a="1", b="2"'), ("Subject", "one, two"), ("Date", "Sat, 1 Jan")])
    assert headers.all("Authorization") == ['Digest a="1", b="2"']
    assert headers.get("Subject") == "one, two"
    assert headers.get("Date") == "Sat, 1 Jan"


def test_set_replaces_in_place_and_remove_removes_all() -> None:
    headers = Headers([("X-A", "1"), ("X-B", "2"), ("x-a", "3"), ("X-C", "4")])
    headers.set("x-a", "x", "y")
    assert list(headers.items()) == [("X-A", "x"), ("X-A", "y"), ("X-B", "2"), ("X-C", "4")]
    headers.set("X-New", "5")
    headers.remove("X-A")
    assert list(headers.items()) == [("X-B", "2"), ("X-C", "4"), ("X-New", "5")]


def test_pop_first_takes_one_element_of_a_list() -> None:
    headers = Headers([("Via", "one, two"), ("Via", "three")])
    assert headers.pop_first("Via") == "one"
    assert headers.all("Via") == ["two", "three"]
    assert headers.pop_first("Route") is None


def test_copies_are_independent() -> None:
    headers = Headers([("A", "1")])
    other = headers.copy()
    other.add("B", "2")
    assert len(headers) == 1
    assert headers != other


def test_a_bad_name_is_refused() -> None:
    with pytest.raises(ValueError, match="header name"):
        Headers().add("X Y", "1")


@given(st.text())
def test_no_value_can_add_a_line(value: str) -> None:
    headers = Headers([("X", value)])
    headers.set("Y", value)
    headers.prepend("Z", value)
    assert not any(char in text for _, text in headers.items() for char in "\r\n\0")
