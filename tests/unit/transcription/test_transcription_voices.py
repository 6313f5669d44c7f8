"""Segments of a voice from VAD windows, for live transcription."""

from __future__ import annotations

from sivo.media.conversation import VadWindow
from sivo.transcription.voices import MAX_MS, MIN_MS, STOP_MS, WINDOW_MS, Begun, Ended, Voices


def run(pattern: list[tuple[int, bool]]) -> list[Begun | Ended]:
    """``pattern``: (windows, voiced)."""
    voices, out, now = Voices(), [], 0.0
    for count, voiced in pattern:
        for _ in range(count):
            now += WINDOW_MS
            out += voices.hear(now, VadWindow(voiced, 0.9, 0))
    return out


def test_a_voice_begins_at_its_first_window_and_ends_at_its_last() -> None:
    begun, ended = run([(5, False), (10, True), (10, False)])
    assert begun == Begun(1, 5 * WINDOW_MS)
    assert ended == Ended(1, 5 * WINDOW_MS, 15 * WINDOW_MS, noise=False)


def test_a_short_gap_does_not_end_it() -> None:
    gap = STOP_MS // WINDOW_MS
    assert len(run([(5, True), (gap, False), (5, True), (10, False)])) == 2


def test_two_windows_are_a_noise_and_three_are_not() -> None:
    short = MIN_MS // WINDOW_MS - 1
    assert run([(short, True), (10, False)])[-1] == Ended(1, 0, short * WINDOW_MS, noise=True)
    assert run([(short + 1, True), (10, False)])[-1] == Ended(1, 0, MIN_MS, noise=False)


def test_a_monologue_is_cut_and_goes_on_as_the_next_segment() -> None:
    windows = MAX_MS // WINDOW_MS + 100
    found = run([(windows, True), (10, False)])
    numbers = [(type(one).__name__, one.number) for one in found]
    assert numbers == [("Begun", 1), ("Ended", 1), ("Begun", 2), ("Ended", 2)]
    first, second = found[1], found[2]
    assert isinstance(first, Ended)
    assert isinstance(second, Begun)
    assert second.start_ms == first.end_ms


def test_the_end_of_the_call_ends_an_open_voice() -> None:
    voices = Voices()
    voices.hear(100, VadWindow(True, 0.9, 4))
    assert voices.end() == [Ended(1, 96 - WINDOW_MS, 96, noise=True)]
    assert voices.end() == []
