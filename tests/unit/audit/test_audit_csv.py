"""Entries of the audit log as documents and as cells of a spreadsheet."""

from __future__ import annotations

import csv
import io

import pytest

from sivo.audit.chain import ChangeRecord
from sivo.audit.csv_export import _line, harmless
from sivo.audit.log import MAX_TEXT, Actor, AuditEntry
from sivo.base.ids import crockford, ulid, uuid7
from sivo.config.audited import entries
from sivo.config.change import Author


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "=cmd|'/C calc'!A0"])
def test_nothing_that_somebody_typed_is_a_formula(text: str) -> None:
    assert harmless(text) == "'" + text
    read = next(csv.reader(io.StringIO(_line((text, 'a "quoted", cell', None)).decode(), newline="")))
    assert read == ["'" + text, 'a "quoted", cell', ""]


def test_ordinary_text_stays_as_it_is() -> None:
    assert [harmless(text) for text in ("", "a=b", "ana@acme.example", "10.0.0.1")] == [
        "", "a=b", "ana@acme.example", "10.0.0.1"
    ]  # fmt: skip


def test_text_that_a_database_cannot_hold_is_bounded_and_cleaned() -> None:
    entry = AuditEntry("access", "login.failed", "account", "a\x00b\ud800", Actor("x", user_agent="u" * 9_999))
    document = entry.document()
    assert document["resource"]["id"] == "ab?" and len(document["actor"]["user_agent"]) == MAX_TEXT


def test_ids_sort_like_the_time_that_they_begin_with() -> None:
    early, late = uuid7(1_000), uuid7(2_000)
    assert crockford(early.int) < crockford(late.int) and len(crockford(late.int)) == len(ulid()) == 26


def test_a_change_set_names_each_thing_and_its_ledger_entry_and_copies_nothing() -> None:
    author = Author("user:u1", "admin", "ana@acme.example", "192.0.2.1", "browser")
    records = [
        ChangeRecord("key/tenant//ai.max_turns", None, {"value": 9}),
        ChangeRecord("key/org/00D/sf.push_transcripts", {"value": True}, None),
        ChangeRecord("trunk/t1", {"body": {}}, {"body": {"name": "x"}}),
    ]
    made = entries(author, 7, records)
    assert [(one.action, one.resource_type, one.resource_id, one.ledger, dict(one.diff)) for one in made] == [
        ("create", "key", "ai.max_turns", 7, {}),
        ("delete", "key", "org/00D/sf.push_transcripts", 7, {}),
        ("update", "trunk", "t1", 7, {}),
    ]
    assert made[0].actor == Actor("u1", "ana@acme.example", "admin", "192.0.2.1", "browser")
