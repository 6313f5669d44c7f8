"""Parts of the demo's caller: G.711, what it notices in the RTP it hears, SIP messages and digest."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from sivo.demo import caller_audio, caller_sip
from sivo.demo.caller_rtp import Heard
from sivo.demo.caller_sip import Account, CallFailed, Message, SipCaller

CLIPS = ("order_question", "interruption", "yes", "goodbye", "transfer")


def test_mulaw_values_of_the_recommendation() -> None:
    # ITU-T G.711 table 2a: the ends and the smallest steps of both halves.
    decoded = caller_audio.decode(bytes([0x80, 0x00, 0xFF, 0x7F, 0xFE, 0x7E]))
    assert decoded.tolist() == [32124, -32124, 0, 0, 8, -8]


def test_mulaw_round_trip_is_the_nearest_code() -> None:
    samples = np.arange(-32768, 32768, 7, dtype=np.int16)
    back = caller_audio.decode(caller_audio.encode(samples)).astype(int)
    step = np.maximum(8, np.abs(samples.astype(int)) / 16)
    assert (np.abs(back - np.clip(samples, -32124, 32124)) <= step).all()
    assert caller_audio.encode(np.zeros(3, np.int16)) in (b"\xff" * 3, b"\x7f" * 3)


@pytest.mark.parametrize("name", CLIPS)
def test_clips_are_small_and_voiced(name: str) -> None:
    frames = caller_audio.clip_frames(name)
    assert all(len(frame) == caller_audio.FRAME for frame in frames)
    assert 0.4 < len(frames) * 0.02 < 3.75
    assert max(caller_audio.loudness(frame) for frame in frames) > 1000


def packet(sequence: int, timestamp: int, payload: bytes) -> bytes:
    return struct.pack("!BBHII", 0x80, 0, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, 1) + payload


def test_heard_keeps_order_loss_and_voice() -> None:
    heard = Heard()
    loud = caller_audio.encode((3000 * np.sin(np.arange(160) / 3)).astype(np.int16))
    heard.take(packet(65534, 2**32 - 160, caller_audio.SILENCE), 1.00)
    heard.take(packet(65535, 0, loud), 1.02)
    heard.take(packet(1, 320, loud), 1.08)  # 0 was lost
    heard.take(b"\x80\x65" + bytes(20), 1.09)  # telephone-event is not audio
    assert (heard.packets, heard.lost) == (3, 1)
    assert (heard.first_voice, heard.last_voice) == (1.02, 1.08)
    assert heard.largest_gap_ms == pytest.approx(60)
    assert heard.audio == caller_audio.SILENCE + loud + caller_audio.SILENCE + loud
    assert heard.voiced_since(1.05) == pytest.approx(0.02)
    assert heard.first_voice_since(1.05) == 1.08


def test_digest_of_rfc_7616_section_3_9_1(monkeypatch: pytest.MonkeyPatch) -> None:
    cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    monkeypatch.setattr(caller_sip.secrets, "token_hex", lambda _bytes: cnonce)
    caller = SipCaller(("127.0.0.1", 5060), Account("Mufasa", "Circle of Life", "x"))
    challenge = 'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=SHA-256, '
    challenge += (
        'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
    )
    chosen = caller_sip._strongest(['Digest realm="x", nonce="y", algorithm=MD5', challenge])
    value = caller._digest("GET", "/dir/index.html", chosen)
    assert 'response="753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"' in value
    assert "algorithm=SHA-256" in value


def test_messages_with_compact_names_are_read() -> None:
    message = Message.parse(
        b"SIP/2.0 200 OK\r\nv: SIP/2.0/UDP a;branch=z9hG4bKx\r\nCSeq: 7 INVITE\r\nm: <sip:b@c>\r\n\r\nbody"
    )
    assert (message.status, message.method, message.body) == (200, "INVITE", "body")
    assert message.get("contact") == "<sip:b@c>"


def test_the_answer_must_take_our_audio() -> None:
    assert caller_sip.remote_of("v=0\r\nc=IN IP4 127.0.0.3\r\nm=audio 4000 RTP/AVP 0 101\r\n") == ("127.0.0.3", 4000)
    for media in ("m=audio 0 RTP/AVP 0", "m=audio 4000 RTP/AVP 8", "m=video 4000 RTP/AVP 0"):
        with pytest.raises(CallFailed):
            caller_sip.remote_of(f"v=0\r\nc=IN IP4 127.0.0.3\r\n{media}\r\n")
