"""Keys as sound: every key at every level and twist that Q.24 asks for, noise, and voices that are no keys."""

from __future__ import annotations

import random
import wave
from pathlib import Path

import numpy as np
import pytest

from sivo.media import codec, rtp
from sivo.media.dtmf import DIGITS, Press
from sivo.media.keypad import Keypad, Way
from sivo.media.leg import Leg
from sivo.media.protocol import Remote
from sivo.media.tones import HIGH, LOW, ToneDetector, ToneSender, make

VOICES = sorted((Path(__file__).parents[2] / "data" / "voice").glob("*.wav"))
PEER = ("192.0.2.1", 4000)


def heard(pcm16: bytes) -> list[Press]:
    """Everything that is found in a sound that went through G.711."""
    detector = ToneDetector()
    sound = codec.decode(0, codec.encode(0, pcm16 + bytes(320 * 5)))
    return [press for start in range(0, len(sound) - 319, 320) for press in detector.put(sound[start : start + 320])]


def pair(low: float, high: float, ms: int, low_db: float = -10.0, high_db: float = -10.0) -> bytes:
    time = np.arange(ms * 8) / 8000
    waves = [32767 * 10 ** (db / 20) * np.sin(2 * np.pi * f * time) for f, db in ((low, low_db), (high, high_db))]
    return sum(waves).astype("<i2").tobytes()  # type: ignore[union-attr]


@pytest.mark.parametrize("shift", [0, 37, 80, 111])
@pytest.mark.parametrize("digit", DIGITS)
def test_every_key_wherever_it_begins_in_a_frame(digit: str, shift: int) -> None:
    found = heard(bytes(2 * shift) + make(digit, 60))
    assert [press.digit for press in found] == [digit]
    assert found[0].duration_ms == pytest.approx(60, abs=25)


def test_keys_in_a_row_and_one_key_twice() -> None:
    sender = ToneSender()
    sender.queue("1123#b")
    sound = b""
    while (frame := sender.next()) is not None:
        sound += frame
    assert "".join(press.digit for press in heard(sound)) == "1123#B"


@pytest.mark.parametrize("ms", [20, 23])
def test_what_is_too_short_is_no_key(ms: int) -> None:
    assert heard(bytes(100) + make("5", ms)) == []


def test_levels_twist_and_tolerance() -> None:
    assert [press.digit for press in heard(pair(770, 1336, 60, -28, -28))] == ["5"]
    assert [press.digit for press in heard(pair(770, 1336, 60, -12, -9))] == ["5"], "high is louder"
    assert [press.digit for press in heard(pair(770, 1336, 60, -9, -16))] == ["5"], "low is louder"
    assert heard(pair(770, 1336, 60, -6, -20)) == [], "no key is as twisted"
    for share in (-0.015, 0.015):
        assert [press.digit for press in heard(pair(770 * (1 + share), 1336 * (1 + share), 60))] == ["5"]
    assert heard(pair(697, 770, 200)) == [], "two of one group"
    assert heard(pair(730, 1336, 200)) == [], "beside the raster"
    assert heard(pair(770, 770, 200)) == []


def test_a_key_in_noise_and_with_a_lost_packet_in_it() -> None:
    rng = np.random.default_rng(1)
    noise = (32767 * 10 ** (-30 / 20) * rng.standard_normal(8 * 120)).astype(int)
    sound = np.frombuffer(make("8", 120), "<i2").astype(int) + noise
    assert [press.digit for press in heard(sound.astype("<i2").tobytes())] == ["8"]
    holed = bytearray(make("8", 120))
    holed[320 * 2 + 200 : 320 * 2 + 360] = bytes(160)
    assert [press.digit for press in heard(bytes(holed))] == ["8"]


@pytest.mark.parametrize("path", VOICES, ids=lambda path: path.stem)
def test_voices_press_no_keys(path: Path) -> None:
    with wave.open(str(path)) as file:
        assert heard(file.readframes(file.getnframes())) == []


def test_music_of_single_tones_and_sweeps_presses_no_keys() -> None:
    rng = random.Random(2)
    by_chance = sum(bool(heard(pair(rng.uniform(300, 3000), rng.uniform(300, 3000), 60))) for _ in range(300))
    assert by_chance <= 9, "two tones that happen to be near a key's"
    for f in (*LOW, *HIGH):
        assert heard(pair(f, f, 300)) == []
    time = np.arange(16_000) / 8000
    sweep = (12000 * np.sin(2 * np.pi * (300 + 700 * time) * time)).astype("<i2").tobytes()
    assert heard(sweep) == []


# --- the leg ---


def test_a_press_that_comes_two_ways_counts_once() -> None:
    pad = Keypad()
    pad.put(Press("5", 100), Way.INFO, 1.0)
    pad.put(Press("5", 100), Way.EVENT, 1.1)
    assert [press.digit for press, _ in pad.take()] == ["5"]
    pad.put(Press("5", 100), Way.INFO, 1.3)  # pressed again
    pad.put(Press("5", 100), Way.EVENT, 1.4)
    pad.put(Press("6", 100), Way.SOUND, 1.6)
    assert [press.digit for press, _ in pad.take()] == ["5", "6"]
    assert not pad.listens


def test_sound_counts_where_the_trunk_says_so_and_until_an_event_comes() -> None:
    for keys_as_sound, expected in ((True, ["9"]), (False, [])):
        leg = Leg("a", 0)
        leg.set_remote(Remote(host=PEER[0], port=PEER[1], keys_as_sound=keys_as_sound))
        sound = make("9", 100) + bytes(320 * 10)
        found = []
        for number in range(len(sound) // 320):
            payload = codec.encode(0, sound[number * 320 : number * 320 + 320])
            leg.datagram(rtp.build(0, number, number * 160, 7, payload), PEER, number * 0.02)
            leg.hear(number * 0.02 + 0.01)
            found += leg.presses(number * 0.02)
        assert [press.digit for press, _ in found] == expected


def test_a_peer_without_telephone_events_gets_sound() -> None:
    leg = Leg("a", 0)
    leg.set_remote(Remote(host=PEER[0], port=PEER[1], dtmf_payload_type=None))
    leg.press("42")
    sound = b""
    for tick in range(20):
        packet = leg.packet(tick, codec.SILENCE_ULAW)
        assert packet is not None
        sound += codec.decode(0, packet[0][12:])
    assert not leg.pressing
    assert "".join(press.digit for press in heard(sound)) == "42"
    with pytest.raises(ValueError, match="not a DTMF digit"):
        leg.press("x")
