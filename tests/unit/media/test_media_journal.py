"""The journal: what was written is what is read, a torn tail is tolerated, a change is noticed."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from sivo.base.errors import SivoError
from sivo.media import journal
from sivo.media.journal import End, Header
from sivo.media.journal_writer import JournalDisk, JournalWriter
from sivo.media.protocol import CaptureChanged, Digit, Fact, Segment

KEY = bytes(range(32))
HEADER = Header(
    session="s1", tenant="t1", call="c1", key_sealed=b"wrapped", nonce_prefix=b"abcd", created_at=1_700_000_000_000
)


def fact(seq: int, digit: str = "5") -> Fact:
    return Fact(session="s1", seq=seq, at=seq, body=Digit(leg="a", digit=digit, duration_ms=100, at_ms=seq * 20))


def chunks(count: int = 5) -> list[bytes]:
    """Chunks of ten frames and one fact each; the last one has the end."""
    sealer = journal.Sealer(KEY, HEADER)
    sealed: list[bytes] = []
    for number in range(count):
        records = b"".join(
            journal.frame_record(number * 10 + n, bytes([n]) * 160, None if n % 2 else bytes([0x80 | n]) * 160)
            for n in range(10)
        )
        records += journal.fact_record(fact(number + 1))
        if number == count - 1:
            records += journal.ack_record(2)
            records += journal.end_record(End(reason="normal", duration_ms=1000, recorded_ms=1000, frames=50))
        sealed.append(sealer.seal(records))
    return sealed


def write(path: Path, parts: list[bytes], header: Header = HEADER) -> Path:
    path.write_bytes(journal.preamble(header) + b"".join(parts))
    return path


def test_everything_written_is_read_again(tmp_path: Path) -> None:
    found = journal.read(write(tmp_path / "j", chunks()), KEY)
    assert found.header == HEADER
    assert found.closed and found.end == End(reason="normal", duration_ms=1000, recorded_ms=1000, frames=50)
    assert (found.frame_count, found.last_index, found.acked, found.torn_bytes) == (50, 49, 2, 0)
    assert [item.seq for item in found.facts] == [1, 2, 3, 4, 5]
    assert [item.seq for item in found.unacknowledged] == [3, 4, 5]
    frames = list(found.frames())
    assert [frame.number for frame in frames] == list(range(50))
    assert frames[13].caller == bytes([3]) * 160 and frames[13].agent == b"\xff" * 160
    assert frames[14].agent == bytes([0x84]) * 160


def test_nothing_of_the_call_stands_readable_in_the_file(tmp_path: Path) -> None:
    data = write(tmp_path / "j", chunks()).read_bytes()
    assert bytes([3]) * 20 not in data
    assert b"digit" not in data


def test_any_torn_tail_is_good_up_to_its_last_whole_chunk(tmp_path: Path) -> None:
    whole = write(tmp_path / "j", chunks()).read_bytes()
    front = len(journal.preamble(HEADER))
    ends = [front]
    for part in chunks():
        ends.append(ends[-1] + len(part))
    for size in range(front, len(whole), 7):
        torn = tmp_path / "torn"
        torn.write_bytes(whole[:size])
        found = journal.read(torn, KEY)
        good = sum(end <= size for end in ends[1:])
        assert not found.closed
        assert found.frame_count == 10 * good == len(list(found.frames()))
        assert len(found.facts) == good
        assert found.torn_bytes == size - ends[good]
        assert found.last_ms == 200 * good


def test_zeros_at_the_tail_are_a_torn_tail(tmp_path: Path) -> None:
    path = write(tmp_path / "j", [*chunks()[:3], bytes(4096)])
    found = journal.read(path, KEY)
    assert (found.frame_count, found.closed, found.torn_bytes) == (30, False, 4096)


@pytest.mark.parametrize(
    "tampered",
    [
        lambda c: [c[0], c[2], c[1], c[3], c[4]],
        lambda c: [c[0], c[2], c[3], c[4]],
        lambda c: [c[0], c[0], *c[1:]],
        lambda c: c[1:],
        lambda c: [c[0], c[1][:50] + bytes([c[1][50] ^ 1]) + c[1][51:], *c[2:]],
    ],
    ids=["swapped", "left out", "doubled", "beheaded", "changed"],
)
def test_a_changed_journal_does_not_open(tmp_path: Path, tampered: object) -> None:
    assert callable(tampered)
    path = write(tmp_path / "j", tampered(chunks()))
    with pytest.raises(SivoError, match="JOURNAL_DAMAGED"):
        journal.read(path, KEY)
    saved = journal.read(path, KEY, salvage=True)
    assert saved.damaged and not saved.closed
    assert saved.frame_count in (0, 10)
    assert len(list(saved.frames())) == saved.frame_count


def test_a_changed_header_or_wrong_key_does_not_open(tmp_path: Path) -> None:
    other = Header(
        session="s1", tenant="t2", call="c1", key_sealed=b"wrapped", nonce_prefix=b"abcd", created_at=HEADER.created_at
    )
    with pytest.raises(SivoError, match="does not authenticate"):
        journal.read(write(tmp_path / "a", chunks(), other), KEY)
    with pytest.raises(SivoError, match="does not authenticate"):
        journal.read(write(tmp_path / "b", chunks()), bytes(32))


@pytest.mark.parametrize(
    "data",
    [b"", b"SIVO", b"RIFF" + bytes(100), journal.MAGIC + b"\xff\xff\xff\xff", journal.MAGIC + b"\0\0\0\x05hello"],
)
def test_what_is_no_journal_is_said_so(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(data)
    with pytest.raises(SivoError, match="JOURNAL_DAMAGED"):
        journal.read(path, KEY)


def test_recorded_spans_come_from_the_facts(tmp_path: Path) -> None:
    sealer = journal.Sealer(KEY, HEADER)
    bodies = [CaptureChanged(recording=on, at_ms=at) for on, at in ((True, 0), (False, 400), (True, 1000))]
    records = b"".join(
        journal.fact_record(Fact(session="s1", seq=n + 1, at=0, body=body)) for n, body in enumerate(bodies)
    )
    found = journal.read(write(tmp_path / "j", [sealer.seal(records)]), KEY)
    assert found.recorded == [(0, 400), (1000, None)]


async def test_writer_keeps_order_and_answers_after_the_write(tmp_path: Path) -> None:
    disk = JournalDisk(asyncio.get_running_loop())
    path = tmp_path / "live.sivoj"
    writer = JournalWriter(path, HEADER, KEY, disk)
    seen_at_answer: list[list[int]] = []
    answered = asyncio.Event()

    def written(ok: bool) -> None:
        assert ok
        seen_at_answer.append([item.seq for item in journal.read(path, KEY).facts])
        answered.set()

    for n in range(25):
        writer.frame(n, b"a" * 160, None)
    writer.fact(fact(1), written)
    await asyncio.wait_for(answered.wait(), 5)
    assert seen_at_answer == [[1]], "a fact is in the file before anybody is told"
    assert journal.read(path, KEY).frame_count == 25
    assert path.stat().st_mode & 0o777 == 0o600
    synced = asyncio.Event()
    writer.acknowledge(1)
    writer.close(End(reason="normal", duration_ms=500, recorded_ms=500, frames=25), lambda ok: synced.set())
    await asyncio.wait_for(synced.wait(), 5)
    found = journal.read(path, KEY)
    assert found.closed and found.acked == 1 and not writer.failed
    with pytest.raises(FileExistsError):
        JournalWriter(path, HEADER, KEY, disk)
    await asyncio.to_thread(disk.close)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("journal-")]


async def test_frames_wait_at_most_200_ms_for_their_chunk(tmp_path: Path) -> None:
    disk = JournalDisk(asyncio.get_running_loop())
    path = tmp_path / "j"
    writer = JournalWriter(path, HEADER, KEY, disk)
    for n in range(19):
        writer.frame(n, b"a" * 160, b"b" * 160)
    await asyncio.to_thread(disk.close)
    assert journal.read(path, KEY).frame_count == 10


async def test_full_disk_ends_the_file_at_a_whole_chunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = JournalDisk(asyncio.get_running_loop())
    path = tmp_path / "j"
    writer = JournalWriter(path, HEADER, KEY, disk)
    done: list[bool] = []
    writer.fact(fact(1), done.append)
    await asyncio.sleep(0.05)
    real_write, full = os.write, {"after": 10}

    def write_some(descriptor: int, data: bytes) -> int:
        if len(data) <= full["after"]:
            raise OSError(28, "No space left on device")
        return real_write(descriptor, bytes(data[: full["after"]]))

    monkeypatch.setattr("sivo.media.journal_writer.os.write", write_some)
    full["after"] = 100
    writer.fact(fact(2), done.append)
    await asyncio.sleep(0.05)
    monkeypatch.undo()
    writer.fact(fact(3), done.append)
    await asyncio.to_thread(disk.close)
    await asyncio.sleep(0)
    assert done == [True, False, False] and writer.failed
    assert [item.seq for item in journal.read(path, KEY).facts] == [1]


def test_text_of_segments_survives(tmp_path: Path) -> None:
    body = Segment(segment="x", speaker="caller", text="¿qué tal? 你好", start_ms=1, end_ms=2)
    sealed = journal.Sealer(KEY, HEADER).seal(journal.fact_record(Fact(session="s1", seq=1, at=0, body=body)))
    assert journal.read(write(tmp_path / "j", [sealed]), KEY).facts[0].body == body
