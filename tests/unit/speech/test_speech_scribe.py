"""Scribe's client core against the simulated server, on the virtual clock."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from scribe_line import ScribeLine

from sivo.simulators.script import SttScript
from sivo.speech.live import STALL_MS
from sivo.speech.scribe import ERRORS, NO_TEXT
from sivo.speech.stt import SttFailed, SttReady, SttText, SttTrouble
from support.tones import silence, speak, table

WORDS = "where is my order please now two five nine yes"
HEARD = table(WORDS)
SCRIPT = SttScript(tones=HEARD, final_delay_ms=150, partial_every_ms=100)


def said(line: ScribeLine, words: str, segment: int) -> None:
    """A voice as our VAD sees it."""
    line.begin(segment)
    line.play(speak(words, HEARD) + silence(140))
    line.finish(segment)


def test_a_voice_gets_partials_and_the_text_of_its_own_commit() -> None:
    line = ScribeLine(SCRIPT)
    line.play(silence(500))
    said(line, "where is my order", 1)
    asked = line.now
    line.play(silence(400))
    said(line, "yes", 2)
    line.play(silence(400))
    assert line.finals() == [(1, "where is my order"), (2, "yes")]
    assert "where is" in line.interims(1)
    first = next(at for at, one in line.results if isinstance(one, SttText) and one.final)
    assert first - asked == 160
    assert line.offences == []


def test_the_stream_never_pauses_also_while_the_phone_rings() -> None:
    line = ScribeLine(SCRIPT)
    line.wait(20_000)
    line.play(silence(5000))
    at = [at for at, _ in line.sent]
    assert max(later - earlier for earlier, later in pairwise(at)) <= 120
    assert line.of(SttTrouble) == []


def test_audio_that_is_late_in_mid_word_is_waited_for_and_not_cut_by_silence() -> None:
    line = ScribeLine(SCRIPT)
    line.play(silence(500))
    word = speak("where", HEARD, word_ms=400)
    middle = 200 * 16
    line.begin(1)
    line.play(word[:middle])
    line.wait(700)
    line.play(word[middle:] + silence(140))
    line.finish(1)
    line.play(silence(400))
    assert line.finals() == [(1, "where")]
    line.begin(2)
    before = len(line.sent)
    line.wait(3_000)
    assert len(line.sent) - before >= 15, "what does not come at all is silence: the vendor hangs up on nothing"
    assert line.offences == []


def test_a_commit_waits_for_three_tenths_of_a_second_of_audio() -> None:
    line = ScribeLine(SCRIPT)
    said(line, "yes", 1)
    line.play(silence(20))
    line.finish(2)  # 20 ms after the last commit
    line.play(silence(1000))
    assert line.offences == []
    first, second = line.commits()
    assert second - first == pytest.approx(300, abs=20)
    assert line.finals() == [(1, "yes"), (2, "")]


def test_duplicates_are_told_once() -> None:
    line = ScribeLine(SCRIPT, twice=True)
    for segment, words in enumerate(("yes", "yes", "where is", "yes"), 1):
        said(line, words, segment)
        line.play(silence(100))
    line.play(silence(1000))
    assert line.finals() == [(1, "yes"), (2, "yes"), (3, "where is"), (4, "yes")]


def test_two_commits_at_once_with_duplicates_keep_their_order() -> None:
    line = ScribeLine(SttScript(tones=HEARD, final_delay_ms=900), twice=True)
    said(line, "where is", 1)
    said(line, "yes", 2)
    line.play(silence(3000))
    assert line.finals() == [(1, "where is"), (2, "yes")]


@pytest.mark.parametrize("kind", NO_TEXT)
def test_throttled_and_inactive_mean_no_text(kind: str) -> None:
    line = ScribeLine(SCRIPT)
    line.play(silence(1000))
    line.begin(1)
    line.play(silence(300))
    line.deaf = True
    line.finish(1)
    line._do(line.core.message(line.now + 10, json.dumps({"message_type": kind, "error": "x"})))
    assert line.finals() == [(1, "")]
    assert line.of(SttTrouble) == []


@pytest.mark.parametrize("kind", sorted(ERRORS))
def test_every_error_has_its_name_and_only_hopeless_ones_end_the_line(kind: str) -> None:
    line = ScribeLine(SCRIPT)
    line.play(silence(300))
    line.begin(1)
    line.play(speak("where", HEARD))
    line._do(line.core.message(line.now, json.dumps({"message_type": kind, "error": "of the vendor"})))
    (trouble,) = line.of(SttTrouble)
    cause, fatal, _ = ERRORS[kind]
    assert trouble.error.cause == cause
    assert trouble.error.detail.startswith(f"{kind}: ")
    line.play(speak("is", HEARD) + silence(140))
    line.finish(1)
    line.play(silence(1000))
    if fatal:
        assert [(one.segment, one.error.cause) for one in line.of(SttFailed)] == [(1, cause)]
        assert len(line.connects) == 1
    else:
        assert line.finals() == [(1, "where is")]
        assert len(line.connects) == 2


@pytest.mark.parametrize("at_ms", range(100, 1900, 100))
@pytest.mark.parametrize("away_ms", [0, 700])
def test_a_line_that_breaks_anywhere_loses_no_word_and_doubles_none(at_ms: int, away_ms: int) -> None:
    line = ScribeLine(SCRIPT, patient=True)
    audio = speak(WORDS, HEARD)
    half = len(audio) // 2
    said(line, "now yes", 1)
    line.begin(2)
    passed = 0
    for begin in range(0, len(audio), 320):
        if passed == at_ms:
            line.reachable = away_ms == 0
            line.cut()
        if passed == at_ms + away_ms:
            line.reachable = True
        if begin == half // 320 * 320:
            line.finish(2)
            line.begin(3)
        line.play(audio[begin : begin + 320])
        passed += 20
    line.play(silence(140))
    line.finish(3)
    line.play(silence(3000))
    finals = line.finals()
    assert [segment for segment, _ in finals] == [1, 2, 3]
    assert " ".join(text for _, text in finals) == f"now yes {WORDS}"
    assert len(line.of(SttReady)) == 2
    assert line.offences == []


def test_words_without_a_voice_are_committed_when_they_have_settled() -> None:
    line = ScribeLine(SCRIPT)
    line.play(silence(500) + speak("yes", HEARD) + silence(2000))
    assert line.finals() == [(None, "yes")]


def test_an_engine_that_is_only_slow_is_asked_again_once_and_believed() -> None:
    line = ScribeLine(SttScript(tones=HEARD, final_delay_ms=2500, partial_every_ms=100))
    said(line, "where is", 1)
    line.play(silence(10_000))
    assert line.finals() == [(1, "where is")]
    assert len(line.connects) == 2


def test_a_half_open_line_is_given_up_and_its_audio_sent_again() -> None:
    line = ScribeLine(SCRIPT)
    line.begin(1)
    line.deaf = True
    line.play(speak("where is", HEARD) + silence(140))
    line.finish(1)
    line.play(silence(STALL_MS + 1000))
    assert line.finals() == [(1, "where is")]
    assert [one.error.cause for one in line.of(SttTrouble)] == ["slow"]


def test_the_end_waits_for_the_last_commit() -> None:
    line = ScribeLine(SCRIPT, patient=True)
    said(line, "where is", 1)
    line.end()
    assert not line.core.done
    line.wait(400)
    assert line.finals() == [(1, "where is")]
    assert line.core.done
