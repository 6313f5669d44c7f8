"""The play-out queue: exact positions through pauses, resumes and clears."""

from __future__ import annotations

import pytest

from sivo.media.playout import FRAME_BYTES, KEEP_MS, Playout, SentFrame


def speech(ms: int, start: int = 0) -> bytes:
    """PCM whose every sample is its own number, so that a wrong cut shows."""
    return b"".join((start + n).to_bytes(2, "little") for n in range(8 * ms))


def test_utterances_play_in_order_and_end_once() -> None:
    playout = Playout()
    playout.append(1, 1, speech(30))
    playout.end(1, 1)
    playout.append(1, 2, speech(20, 5000))
    playout.end(1, 2)
    assert playout.queued_ms == 50
    pulls = [playout.pull() for _ in range(4)]
    assert [pull[1] for pull in pulls] == [
        [SentFrame(1, 1, 0, 20, False)],
        [SentFrame(1, 1, 20, 10, True)],
        [SentFrame(1, 2, 0, 20, True)],
        [],
    ]
    assert pulls[0][0] == speech(20)
    assert pulls[1][0] == speech(30)[FRAME_BYTES:] + bytes(FRAME_BYTES // 2)
    assert pulls[2][0] == speech(20, 5000)
    assert pulls[3][0] is None


def test_short_rest_waits_for_more_or_for_the_end() -> None:
    playout = Playout()
    playout.append(1, 1, speech(25))
    assert playout.pull()[0] == speech(20)
    assert playout.pull() == (None, [])
    playout.append(1, 1, speech(15, 8 * 25))
    assert playout.pull()[1] == [SentFrame(1, 1, 20, 20, False)]
    playout.end(1, 1)
    assert playout.pull() == (None, [SentFrame(1, 1, 40, 0, True)])


def test_late_end_does_not_delay_the_next_utterance() -> None:
    playout = Playout()
    playout.append(1, 1, speech(20))
    playout.append(1, 2, speech(20, 900))
    playout.pull()
    playout.end(1, 1)
    frame, reports = playout.pull()
    assert frame == speech(20, 900)
    assert reports == [SentFrame(1, 1, 20, 0, True), SentFrame(1, 2, 0, 20, False)]


@pytest.mark.parametrize("from_ms", [0, 20, 47, 60])
def test_resume_goes_on_from_the_very_sample(from_ms: int) -> None:
    playout = Playout()
    playout.append(1, 1, speech(200))
    playout.end(1, 1)
    for _ in range(3):
        playout.pull()
    playout.pause()
    assert [playout.pull() for _ in range(5)] == [(None, [])] * 5
    assert playout.queued_ms == 140
    playout.resume(1, from_ms)
    frame, reports = playout.pull()
    assert frame == speech(200)[16 * from_ms : 16 * from_ms + FRAME_BYTES]
    assert reports == [SentFrame(1, 1, from_ms, 20, False)]
    assert playout.queued_ms == 200 - from_ms - 20


def test_resume_of_an_utterance_that_was_played_whole_replays_what_follows() -> None:
    playout = Playout()
    for number in (1, 2, 3):
        playout.append(1, number, speech(40, 1000 * number))
        playout.end(1, number)
    for _ in range(5):
        playout.pull()  # 1 and 2 are over, 3 is half said
    playout.pause()
    playout.resume(2, 20)
    order = [playout.pull()[1][0] for _ in range(3)]
    assert order == [SentFrame(1, 2, 20, 20, True), SentFrame(1, 3, 0, 20, False), SentFrame(1, 3, 20, 20, True)]


def test_resume_skips_what_stands_before_it() -> None:
    playout = Playout()
    playout.append(1, 1, speech(100))
    playout.append(1, 2, speech(40, 3000))
    playout.pull()
    playout.pause()
    playout.resume(2, 0)
    assert playout.pull()[0] == speech(20, 3000)
    assert playout.queued_ms == 20


def test_clear_forgets_all_and_tells_what_was_not_said() -> None:
    playout = Playout()
    playout.append(4, 1, speech(100))
    playout.pull()
    playout.pause()
    assert playout.clear() == 80
    assert not playout.paused
    assert playout.pull() == (None, [])
    with pytest.raises(ValueError, match="not kept"):
        playout.resume(1, 0)


def test_what_was_ended_takes_no_more_audio() -> None:
    playout = Playout()
    playout.end(1, 1)
    with pytest.raises(ValueError, match="ended"):
        playout.append(1, 1, speech(20))
    assert playout.pull() == (None, [SentFrame(1, 1, 0, 0, True)])


def test_played_speech_is_kept_for_a_bounded_time() -> None:
    playout = Playout()
    for number in range(10):
        playout.append(1, number, speech(KEEP_MS // 5))
        playout.end(1, number)
        while playout.pull()[0]:
            pass
    with pytest.raises(ValueError, match="not kept"):
        playout.resume(0, 0)
    playout.resume(9, 0)
