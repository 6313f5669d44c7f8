"""Writes of many calls go to the database in few round trips, and each call keeps its order."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from sivo.base.clock import SystemClock
from sivo.base.ids import uuid7
from sivo.calls.facts import FactContext
from sivo.calls.grouping import Write, grouped
from sivo.calls.records import Recorder
from sivo.calls.rows import CallRow, EndRow, LegRow, MessageRow
from sivo.calls.writer import CallWriter
from sivo.config.snapshot import Snapshot
from sivo.db.scopes import Connection, Database
from sivo.db.statement import Statement
from sivo.media.protocol import CaptureChanged, Fact
from sivo.recording.policy import RecordingDecision
from sivo.routing.decide import FORBIDDEN, RouteDecision
from sivo.transcription.policy import TranscriptionDecision

AT = datetime(2026, 3, 1, tzinfo=UTC)
TENANT = uuid7()
SNAPSHOT = Snapshot(TENANT, 1, {}, {}, "es", "tenant", "hash")
ROUTE = RouteDecision(FORBIDDEN, "rule", "reason", "inbound", "+34600100200", "+34910000001")
RECORDING = RecordingDecision(False, "rule", "wav", 1, "", False, "delete", {})
TRANSCRIPTION = TranscriptionDecision(False, "rule", "local", "es", True, 1, False, {})


class Book(Recorder):
    """Keeps what is put, in its order; nothing is written."""

    def __init__(self) -> None:
        super().__init__(cast(Database, None))
        self.writes: list[Write] = []

    def put(self, write: Write) -> None:
        self.writes.append(write)


def set_up(writer: CallWriter) -> None:
    """What a call writes from its INVITE to its 200, in the order of the role."""
    writer.created(ROUTE, SNAPSHOT)
    caller, callee = uuid7(), uuid7()
    for leg in (caller, callee):
        writer.leg(LegRow(leg, "caller", "sip:a@b", "udp:a:1", "id", AT, {"pending": "INVITE"}))
        writer.recording_decided("setup", RECORDING, False)
        writer.transcription_decided("setup", TRANSCRIPTION)
        writer.message(MessageRow(uuid7(), AT, "in", "udp:a:1", "INVITE", "INVITE"))
        writer.media(0, "journal")
        writer.message(MessageRow(uuid7(), AT, "out", "udp:a:1", "180", "180"))
    writer.ringing()
    writer.answered()
    context = FactContext(TENANT, writer.row.id, None, False, 1)
    fact = Fact(session=str(writer.row.id), seq=1, at=1_772_323_200_000, body=CaptureChanged(recording=False, at_ms=0))
    writer.fact(fact, context, lambda: None)
    for leg in (caller, callee):
        writer.leg_state(leg, "answered", codec="PCMA", answered_at=AT, dialog={"state": "confirmed"})
        writer.message(MessageRow(uuid7(), AT, "out", "udp:a:1", "200", "200"))


def over(writer: CallWriter) -> None:
    """What it writes at its end."""
    for _ in range(2):
        writer.leg_state(uuid7(), "ended", ended_at=AT)
        writer.message(MessageRow(uuid7(), AT, "in", "udp:a:1", "BYE", "BYE"))
    writer.ended(EndRow(AT, 500, "NORMAL_CLEARING", "client", "caller"))
    writer.finished("journal", RECORDING, False)


def writers(book: Book, count: int) -> list[CallWriter]:
    rows = [CallRow(uuid7(), TENANT, "inbound", "+34600100200", "+34910000001", AT) for _ in range(count)]
    return [CallWriter(book, SystemClock(), row, "node") for row in rows]


def test_a_call_takes_few_round_trips() -> None:
    book = Book()
    (writer,) = writers(book, 1)
    set_up(writer)
    assert len(grouped(book.writes)) <= 10
    book.writes.clear()
    over(writer)
    assert len(grouped(book.writes)) <= 4


def test_twenty_calls_at_the_same_time_take_as_many_as_one() -> None:
    book = Book()
    for writer in writers(book, 20):
        set_up(writer)
        over(writer)
    groups = grouped(book.writes)
    assert len(groups) <= 12
    assert sum(len(group.rows) for group in groups) == len(book.writes)


def test_what_depends_on_what_it_finds_runs_by_itself_in_its_place() -> None:
    async def look(conn: Connection) -> None:
        """What it finds decides."""

    one, other = uuid7(), uuid7()
    insert, update = Statement("insert", (1,)), Statement("update", (2,))
    batch = [
        Write(TENANT, one, insert),
        Write(TENANT, one, look),
        Write(TENANT, one, update),
        Write(TENANT, other, insert),
    ]
    groups = grouped(batch)
    assert [group.what for group in groups] == ["insert", look, "update"]
    assert groups[0].rows == [(1,), (1,)]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.booleans())))
def test_each_call_keeps_its_order_and_nothing_is_lost(what: list[tuple[int, int, bool]]) -> None:
    calls = [UUID(int=number) for number in range(4)]
    batch = [
        Write(TENANT, calls[call], Statement(f"statement {kind}", (call, kind, serial)), None, loose)
        for serial, (call, kind, loose) in enumerate(what)
    ]
    ran: list[tuple[Any, ...]] = [row for group in grouped(batch) for row in group.rows]
    assert sorted(ran) == sorted((call, kind, serial) for serial, (call, kind, _) in enumerate(what))
    behind = {serial for serial, (_, _, loose) in enumerate(what) if loose}
    for call in range(4):
        kept = [serial for of, _, serial in ran if of == call and serial not in behind]
        assert kept == sorted(kept)
    ordered = [row[2] in behind for row in ran]
    assert ordered == sorted(ordered)
