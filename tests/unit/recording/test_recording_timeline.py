"""Which frames of a journal make the recording."""

from __future__ import annotations

import os
from pathlib import Path

from sivo.media import journal
from sivo.media.codec import SILENCE_ULAW
from sivo.media.protocol import CaptureChanged, Fact
from sivo.recording.timeline import length, pairs, spans

KEY = bytes(range(32))
VOICE = b"\x10" * 160


def capture(seq: int, recording: bool, at_ms: int) -> bytes:
    body = CaptureChanged(recording=recording, at_ms=at_ms)
    return journal.fact_record(Fact(session="s", seq=seq, at=0, body=body))


def written(path: Path, *records: bytes, end_ms: int | None) -> journal.Journal:
    header = journal.Header(session="s", tenant="t", call="c", key_sealed=b"", nonce_prefix=os.urandom(4), created_at=0)
    sealer = journal.Sealer(KEY, header)
    content = journal.preamble(header) + b"".join(sealer.seal(record) for record in records)
    if end_ms is not None:
        end = journal.End(reason="test", duration_ms=end_ms, recorded_ms=0, frames=0)
        content += sealer.seal(journal.end_record(end))
    path.write_bytes(content)
    return journal.read(path, KEY)


def test_a_gap_inside_a_span_is_silence(tmp_path: Path) -> None:
    found = written(
        tmp_path / "j",
        capture(1, True, 0),
        journal.frame_record(0, VOICE, None),
        journal.frame_record(2, None, VOICE),
        end_ms=80,
    )
    silence = SILENCE_ULAW
    assert list(pairs(found)) == [(VOICE, silence), (silence, silence), (silence, VOICE), (silence, silence)]
    assert length(found) == 4


def test_nothing_of_a_paused_stretch_is_in_the_recording(tmp_path: Path) -> None:
    found = written(
        tmp_path / "j",
        capture(1, True, 0),
        journal.frame_record(0, VOICE, VOICE),
        capture(2, False, 20),
        journal.frame_record(3, VOICE, VOICE),
        capture(3, True, 100),
        journal.frame_record(5, VOICE, None),
        end_ms=120,
    )
    assert spans(found) == [(0, 1), (5, 6)]
    assert list(pairs(found)) == [(VOICE, VOICE), (VOICE, SILENCE_ULAW)]


def test_a_killed_session_lasts_until_its_last_sign_of_life(tmp_path: Path) -> None:
    found = written(
        tmp_path / "j", capture(1, True, 0), journal.frame_record(0, VOICE, None), journal.clock_record(9), end_ms=None
    )
    assert not found.closed
    assert length(found) == 10


def test_without_capture_there_is_no_recording(tmp_path: Path) -> None:
    found = written(tmp_path / "j", capture(1, False, 0), end_ms=5000)
    assert length(found) == 0
    assert list(pairs(found)) == []
