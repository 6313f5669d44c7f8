"""Every mail exists in every language with the same placeholders, and nothing that a person typed becomes a header."""

from __future__ import annotations

from datetime import UTC, datetime
from email import message_from_bytes, policy
from html.parser import HTMLParser
from string import Formatter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sivo.base.ids import uuid7
from sivo.config.types import LOCALES
from sivo.mail.message import Letter, compose, decode, encode, wire_address
from sivo.mail.render import one_line, render
from sivo.mail.template import FIELDS, WITH_LINK, Kind, Template
from sivo.mail.texts import TEXTS

NOW = datetime(2026, 1, 1, 9, 0, tzinfo=UTC)
LINK = "https://acme.app.example/invitation#token=abc"
EVIL = "Eve\r\nBcc: all@acme.example\r\n\r\n<script>x</script>"


def placeholders(template: Template) -> set[str]:
    texts = (template.subject, *template.paragraphs)
    return {name for text in texts for _, name, _, _ in Formatter().parse(text) if name}


def values(kind: Kind, value: str = "x") -> dict[str, str]:
    return dict.fromkeys(FIELDS[kind], value)


@pytest.mark.parametrize("language", LOCALES)
@pytest.mark.parametrize("kind", Kind)
def test_every_mail_exists_in_every_language_with_the_same_placeholders(kind: Kind, language: str) -> None:
    template = TEXTS[language][kind]
    assert placeholders(template) == FIELDS[kind]
    assert bool(template.action) == (kind in WITH_LINK)
    assert 0 < template.before_link <= len(template.paragraphs)


def test_there_are_six_languages_and_no_other_kinds() -> None:
    assert set(TEXTS) == set(LOCALES)
    assert all(set(texts) == set(Kind) == set(FIELDS) for texts in TEXTS.values())


@pytest.mark.parametrize("kind", Kind)
def test_languages_differ(kind: Kind) -> None:
    assert len({TEXTS[language][kind].paragraphs for language in LOCALES}) == len(LOCALES)


def test_values_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        render(Kind.INVITATION, "en", {"name": "Ana"}, LINK)
    with pytest.raises(ValueError, match="do not fit"):
        render(Kind.INVITATION, "en", values(Kind.INVITATION), "")
    with pytest.raises(ValueError, match="do not fit"):
        render(Kind.LEAD, "en", values(Kind.LEAD), LINK)


def letter(kind: Kind, value: str) -> Letter:
    made = render(kind, "en", values(kind, value), LINK if kind in WITH_LINK else "")
    return Letter("ana@acme.example", value, made.subject, made.text, made.html)


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\u2028", "\x85", "\x0b", "\x00"])
def test_no_value_makes_a_header(kind: Kind, end: str) -> None:
    made = compose(letter(kind, EVIL.replace("\r\n", end)), uuid7(), "no-reply@sivo.example", "en", NOW)
    raw = made.as_bytes()
    parsed = message_from_bytes(raw, policy=policy.default)
    assert parsed["Bcc"] is None and not parsed.defects
    assert set(parsed.keys()) == {
        "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "Content-Language", "MIME-Version",
        "Content-Type",
    }  # fmt: skip
    assert [str(one.addr_spec) for one in parsed["To"].addresses] == ["ana@acme.example"]
    html = parsed.get_body(("html",)).get_content()
    assert "<script" not in html


@settings(max_examples=50)
@given(st.text(max_size=300))
def test_any_text_is_one_line_and_survives_the_parser(text: str) -> None:
    line = one_line(text)
    assert len(line) <= 200 and line.isprintable()
    made = compose(letter(Kind.LEAD, text), uuid7(), "no-reply@sivo.example", "en", NOW)
    parsed = message_from_bytes(made.as_bytes(), policy=policy.default)
    assert parsed["To"].addresses[0].addr_spec == "ana@acme.example"
    assert parsed["Bcc"] is None


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attributes if name == "href"]


def test_the_link_stands_in_text_and_html() -> None:
    made = render(Kind.PASSWORD_RESET, "de", values(Kind.PASSWORD_RESET), LINK + "&a=b")
    assert LINK + "&a=b" in made.text.splitlines()
    parser = _Links()
    parser.feed(made.html)
    assert parser.found == [LINK + "&a=b"]


def test_a_lead_keeps_the_lines_of_its_message() -> None:
    made = render(Kind.LEAD, "en", {**values(Kind.LEAD), "message": "one\r\ntwo\n\nthree <b>"})
    assert "one\ntwo\n\nthree <b>" in made.text
    assert "three &lt;b&gt;" in made.html


def test_the_same_row_makes_the_same_message() -> None:
    one, message_id = letter(Kind.INVITATION, "Ana"), uuid7()
    assert decode(encode(one)) == one
    first = compose(one, message_id, "no-reply@sivo.example", "en", NOW)
    again = compose(decode(encode(one)), message_id, "no-reply@sivo.example", "en", NOW)
    assert first["Message-ID"] == again["Message-ID"] == f"<{message_id}@sivo.example>"
    assert dict(first.items()).keys() == dict(again.items()).keys() and first["Date"] == again["Date"]


def test_international_domains_go_out_in_ascii() -> None:
    assert wire_address("ana@münchen.example") == "ana@xn--mnchen-3ya.example"
    assert wire_address("jörg@acme.example") == "jörg@acme.example"
    with pytest.raises(ValueError, match="@"):
        wire_address("nobody")
