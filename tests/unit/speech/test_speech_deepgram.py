"""Deepgram's client core against the simulated server, to the millisecond of the virtual clock."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from deepgram_line import DeepgramLine

from sivo.simulators.script import SttScript
from sivo.speech.deepgram import FINAL_WAIT_MS, KEEP_ALIVE_MS
from sivo.speech.faults import ProviderError
from sivo.speech.live import STALL_MS
from sivo.speech.stt import SttFailed, SttReady, SttText, SttTrouble
from support.tones import silence, speak, table

WORDS = "where is my order please now two five nine yes"
HEARD = table(WORDS)
SCRIPT = SttScript(tones=HEARD, final_delay_ms=150)


def said(line: DeepgramLine, words: str, segment: int) -> None:
    """A voice as our VAD sees it: begin at its start, finish 200 ms after its end."""
    line.begin(segment)
    line.play(speak(words, HEARD))
    end = line.call_ms - 60
    line.play(silence(140))
    line.finish(segment, end)


def test_a_voice_gets_interims_and_one_final_at_our_own_end_of_speech() -> None:
    line = DeepgramLine(SCRIPT)
    line.play(silence(500))
    said(line, "where is my order", 1)
    asked = line.now
    line.play(silence(2000))
    assert line.finals() == [(1, "where is my order")]
    assert "where is" in line.interims(1)
    (at,) = [at for at, one in line.results if isinstance(one, SttText) and one.final]
    assert at - asked == 160  # the server's 150 ms, seen at the next tick; vendor endpointing would be later
    assert [kind for _, kind in line.said()] == ["Finalize"]
    assert line.offences == []


def test_while_the_phone_rings_keep_alive_goes_out_every_four_seconds() -> None:
    line = DeepgramLine(SCRIPT)
    line.wait(30_000)
    at = [at for at, kind in line.said() if kind == "KeepAlive"]
    assert at == [KEEP_ALIVE_MS * n for n in range(1, 8)]
    assert all(3000 <= later - earlier <= 5000 for earlier, later in pairwise(at))
    said(line, "yes", 1)
    line.play(silence(600))
    assert line.finals() == [(1, "yes")]
    assert line.of(SttTrouble) == []
    # no KeepAlive while audio flows
    line.play(silence(9000))
    assert len([kind for _, kind in line.said() if kind == "KeepAlive"]) == 7


def test_audio_frames_are_20_to_100_ms_and_never_empty() -> None:
    line = DeepgramLine(SCRIPT)
    line.play(silence(410))
    said(line, "is my", 1)
    line.cut()
    line.play(silence(400))
    sizes = {size for _, size in line.sent if isinstance(size, int)}
    assert all(160 <= size <= 1600 for size in sizes), sizes


def test_without_an_answer_to_finalize_the_last_interim_is_the_text() -> None:
    line = DeepgramLine(SttScript(tones=HEARD, final_delay_ms=5000))
    line.begin(1)
    line.play(speak("where is", HEARD))
    line.play(silence(140))
    line.mute_finalize = True
    line.finish(1)
    asked = line.now
    line.play(silence(280))
    assert line.finals() == []
    line.play(silence(1000))
    at = [at for at, one in line.results if isinstance(one, SttText) and one.final]
    assert line.finals() == [(1, "where is")]
    assert at[0] - asked == FINAL_WAIT_MS
    line.play(silence(8000))  # the server's own final, far too late, is not told again
    assert line.finals() == [(1, "where is")]


def test_a_noise_without_words_is_answered_by_the_range_that_results_cover() -> None:
    line = DeepgramLine(SCRIPT)
    line.play(silence(300))
    line.begin(1)
    line.play(silence(300))
    line.finish(1)
    line.play(silence(400))
    assert line.finals() == [(1, "")]


def test_words_that_our_vad_did_not_hear_stand_for_themselves_with_their_times() -> None:
    line = DeepgramLine(SCRIPT)
    line.play(silence(1000) + speak("yes", HEARD) + silence(1000))
    (text,) = [one for one in line.of(SttText) if one.final]
    assert (text.segment, text.text, text.start_ms, text.end_ms) == (None, "yes", 1000, 1200)


def test_two_voices_close_together_keep_their_words_apart() -> None:
    line = DeepgramLine(SttScript(tones=HEARD, final_delay_ms=400))
    said(line, "where is", 1)
    said(line, "my order", 2)
    line.play(silence(2000))
    assert sorted(line.finals()) == [(1, "where is"), (2, "my order")]


def test_speech_longer_than_a_piece_is_put_together() -> None:
    line = DeepgramLine(SttScript(tones=HEARD, piece_ms=600))
    said(line, WORDS, 1)
    line.play(silence(1000))
    assert line.finals() == [(1, WORDS)]


@pytest.mark.parametrize("at_ms", range(100, 3200, 100))
@pytest.mark.parametrize("away_ms", [0, 700])
def test_a_line_that_breaks_anywhere_loses_no_word_and_doubles_none(at_ms: int, away_ms: int) -> None:
    line = DeepgramLine(SttScript(tones=HEARD, piece_ms=600), patient=True)
    audio = speak(WORDS, HEARD)
    line.play(silence(200))
    line.begin(1)
    before, behind = audio[: at_ms * 16], audio[at_ms * 16 :]
    line.play(before)
    line.reachable = away_ms == 0
    line.cut()
    line.play(behind[: away_ms * 16])
    line.reachable = True
    line.play(behind[away_ms * 16 :])
    end = line.call_ms - 60
    line.play(silence(140))
    line.finish(1, end)
    line.play(silence(3000))
    assert line.finals() == [(1, WORDS)]
    assert len(line.of(SttReady)) == 2
    assert line.offences == []


def test_net_0001_is_named_and_the_line_comes_back_at_once() -> None:
    line = DeepgramLine(SCRIPT)
    line.cut("Deepgram did not receive audio data. See https://dpgr.am/net0001")
    (trouble,) = line.of(SttTrouble)
    assert trouble.error.cause == "cut"
    assert "NET-0001" in trouble.error.detail
    assert line.connects == [0, 0]


def test_a_half_open_line_is_given_up_and_its_audio_sent_again() -> None:
    line = DeepgramLine(SCRIPT)
    line.begin(1)
    line.play(speak("where is my", HEARD))
    line.deaf = True
    line.play(speak("order", HEARD) + silence(140))
    line.finish(1, line.call_ms - 200)
    asked = line.now
    line.play(silence(STALL_MS + 1000))
    assert line.connects[-1] - asked == pytest.approx(STALL_MS, abs=60)
    assert line.finals() == [(1, "where is my order")]
    assert [one.error.cause for one in line.of(SttTrouble)] == ["slow"]


def test_who_waits_is_told_when_the_engine_cannot_be_reached_and_later_turns_work_again() -> None:
    line = DeepgramLine(SCRIPT, reachable=False)
    line.play(silence(1000))
    said(line, "where is", 1)
    failed = line.of(SttFailed)
    assert [(one.segment, one.error.cause) for one in failed] == [(1, "refused")]
    # tries again ever less often, not in a storm
    assert len(line.connects) <= 5
    line.reachable = True
    line.play(silence(5000))
    said(line, "my order", 2)
    line.play(silence(1000))
    assert (2, "my order") in line.finals()


def test_a_refused_key_is_final_and_not_tried_again() -> None:
    line = DeepgramLine(SCRIPT, reachable=False)
    line.core.closed(line.now, ProviderError("rejected", "the credential was refused (HTTP 401)"), fatal=True)
    tried = len(line.connects)
    said(line, "where is", 1)
    line.play(silence(20_000))
    assert [(one.segment, one.error.cause) for one in line.of(SttFailed)] == [(1, "rejected")]
    assert len(line.connects) == tried


def test_garbage_starts_a_new_connection() -> None:
    line = DeepgramLine(SCRIPT)
    line.begin(1)
    line.play(speak("where", HEARD))
    line._do(line.core.message(line.now, "{not json"))
    line.play(speak("is", HEARD) + silence(140))
    line.finish(1)
    line.play(silence(1000))
    assert line.finals() == [(1, "where is")]
    assert [one.error.cause for one in line.of(SttTrouble)] == ["garbage"]


def test_a_voice_that_was_dropped_is_not_told() -> None:
    line = DeepgramLine(SCRIPT)
    said(line, "where is", 1)
    line.core.drop(1)
    line.play(silence(2000))
    assert line.finals() == []


def test_close_stream_brings_the_last_words() -> None:
    line = DeepgramLine(SCRIPT, patient=True)
    line.begin(1)
    line.play(speak("where is", HEARD))
    line.finish(1, line.call_ms)
    line.end()
    line.wait(400)
    assert line.finals() == [(1, "where is")]
    assert line.core.done
    assert [kind for _, kind in line.said()] == ["Finalize", "CloseStream"]


def _results(transcript: str, start: float, duration: float, **flags: bool) -> str:
    words = [
        {"word": word, "start": start + 0.2 * place, "end": start + 0.2 * place + 0.15}
        for place, word in enumerate(transcript.split())
    ]
    channel = {"alternatives": [{"transcript": transcript, "confidence": 0.9, "words": words}]}
    body = {"type": "Results", "start": start, "duration": duration, "channel": channel, "is_final": True} | flags
    return json.dumps(body)


def test_an_utterance_is_put_together_until_speech_final_and_utterance_end_is_the_safety_net() -> None:
    line = DeepgramLine(SCRIPT)
    line.deaf = True  # the server speaks by hand
    line.play(silence(6000))
    line._do(line.core.message(line.now, _results("where is", 0.0, 1.0)))
    assert line.finals() == []
    line._do(line.core.message(line.now, _results("my order", 1.0, 1.0, speech_final=True)))
    assert line.finals() == [(None, "where is my order")]
    line._do(line.core.message(line.now, _results("please", 2.0, 1.0)))
    end = {"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": 2.15}
    line._do(line.core.message(line.now, json.dumps(end)))
    assert line.finals()[1:] == [(None, "please")]
    line._do(line.core.message(line.now, json.dumps(end | {"last_word_end": -1})))
    assert len(line.finals()) == 2
