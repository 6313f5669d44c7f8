"""Keys in session descriptions (RFC 4568): lines that are taken and passed over, offers and answers under a policy."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sivo.sip import LocalSession, NotAcceptable, SessionDescription
from sivo.sip.ladder import redacted
from sivo.sip.message import Request
from sivo.sip.reading import parse
from sivo.sip.sdes import SUITES, Crypto, SrtpPolicy, crypto_of

CM = "AES_CM_128_HMAC_SHA1_80"
KEY = bytes(range(30))
LINE = f"1 {CM} inline:{b64encode(KEY).decode()}"
HEAD = "v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n"


def sdp(*lines: str, protocol: str = "RTP/SAVP", head: str = HEAD) -> SessionDescription:
    """One audio section with these ``a=crypto`` values."""
    text = f"{head}m=audio 4000 {protocol} 0 101\r\na=rtpmap:101 telephone-event/8000\r\n"
    return SessionDescription.parse((text + "".join(f"a=crypto:{line}\r\n" for line in lines)).encode())


def session(policy: SrtpPolicy = SrtpPolicy.OPTIONAL, *, secure: bool = True) -> LocalSession:
    return LocalSession("192.0.2.1", session_id=1, srtp=policy, secure=secure)


def read(body: bytes) -> SessionDescription:
    return SessionDescription.parse(body)


# --- lines ---


@pytest.mark.parametrize(
    ("line", "taken"),
    [
        (LINE, True),
        (LINE.lower().replace(LINE.lower().split("inline:")[1], LINE.split("inline:")[1]), True),
        (LINE + "|2^48", True),
        (LINE + "|1048576", True),
        (LINE + "|2^20|1:4", False),  # an MKI of four bytes behind every packet
        (LINE + "|1:4", False),
        (LINE + ";inline:" + b64encode(KEY).decode(), False),
        (LINE + " WSH=64", True),
        (LINE + " KDR=1", False),
        (LINE + " UNENCRYPTED_SRTP", False),
        (LINE + " UNAUTHENTICATED_SRTP", False),
        (LINE + " -SOMETHING_NEW", True),
        (LINE + "A" * 8, False),
        (f"1 {CM} inline:{b64encode(KEY[:29]).decode()}", False),
        (f"1 {CM} inline:%%%", False),
        (f"1 {CM}", False),
        ("1", False),
        ("", False),
        (f"x{LINE}", False),
        (LINE.replace(CM, "F8_128_HMAC_SHA1_80"), False),
        (LINE.replace("inline", "outline"), False),
        (f"2 AEAD_AES_256_GCM inline:{b64encode(bytes(44)).decode()}", True),
    ],
)
def test_which_lines_are_taken(line: str, taken: bool) -> None:
    assert (Crypto.parse(line) is not None) == taken


def test_rfc_4568_example() -> None:
    """§6.1: lifetime and MKI; with the MKI left out it is a line of ours."""
    text = "1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^20|1:32"
    assert Crypto.parse(text) is None
    line = Crypto.parse(text.removesuffix("|1:32"))
    assert line is not None
    assert len(line.key) == 30
    assert str(line) == text.removesuffix("|2^20|1:32")


@given(st.text(max_size=80))
def test_no_line_breaks_the_reader(text: str) -> None:
    Crypto.parse(text)
    Crypto.parse(f"1 {CM} {text}")


# --- offers of theirs ---


def test_an_offer_of_srtp_is_answered_with_a_key_of_ours() -> None:
    body, stream = session().answer(sdp("7 UNKNOWN inline:abc", LINE.replace("1 ", "9 ", 1)), 20000)
    answer = read(body).media[0]
    (line,) = crypto_of(answer)
    assert (answer.protocol, line.tag, line.suite) == ("RTP/SAVP", 9, CM)
    assert stream.srtp is not None
    assert (stream.srtp.suite, stream.srtp.ours, stream.srtp.theirs) == (CM, line.key, KEY)
    assert line.key != KEY


def test_keys_under_rtp_avp_count_and_the_answer_says_so() -> None:
    body, stream = session().answer(sdp(LINE, protocol="RTP/AVP"), 20000)
    assert stream.srtp is not None
    assert (read(body).media[0].protocol, len(crypto_of(read(body).media[0]))) == ("RTP/AVP", 1)


def test_of_two_sections_the_protected_one_is_taken() -> None:
    offer = read((str(sdp(protocol="RTP/AVP")) + str(sdp(LINE).media[0]).replace("4000", "4002")).encode())
    body, stream = session().answer(offer, 20000)
    assert [media.port for media in read(body).media] == [0, 20000]
    assert (stream.port, stream.srtp is not None) == (4002, True)
    body, stream = session(SrtpPolicy.OFF).answer(offer, 20000)
    assert [media.port for media in read(body).media] == [20000, 0]
    assert (stream.port, stream.srtp) == (4000, None)


@pytest.mark.parametrize(
    ("policy", "secure", "offer", "why"),
    [
        (SrtpPolicy.REQUIRED, True, sdp(protocol="RTP/AVP"), "required"),
        (SrtpPolicy.REQUIRED, True, sdp("1 UNKNOWN inline:x"), "required"),
        (SrtpPolicy.REQUIRED, False, sdp(LINE), "may not go in the clear"),
        (SrtpPolicy.REQUIRED, False, sdp(protocol="RTP/AVP"), "may not go in the clear"),
        (SrtpPolicy.OPTIONAL, False, sdp(LINE), "in the clear"),
        (SrtpPolicy.OPTIONAL, True, sdp(), "not taken"),
        (SrtpPolicy.OFF, True, sdp(LINE), "switched off"),
    ],
)
def test_what_the_policy_refuses(policy: SrtpPolicy, secure: bool, offer: SessionDescription, why: str) -> None:
    with pytest.raises(NotAcceptable, match=why):
        session(policy, secure=secure).answer(offer, 20000)


def test_keys_in_clear_sip_are_not_taken_beside_rtp_avp() -> None:
    body, stream = session(secure=False).answer(sdp(LINE, protocol="RTP/AVP"), 20000)
    assert stream.srtp is None
    assert b"crypto" not in body


def test_a_reinvite_with_the_same_key_keeps_ours_and_a_new_one_brings_a_new_one() -> None:
    ours = session()
    first = ours.answer(sdp(LINE), 20000)[1].srtp
    assert ours.answer(sdp(LINE), 20000)[1].srtp == first
    other = f"1 {CM} inline:{b64encode(bytes(30)).decode()}"
    second = ours.answer(sdp(other), 20000)[1].srtp
    assert first is not None
    assert second is not None
    assert second.ours != first.ours
    moved = ours.answer(sdp(other), 20002)[1].srtp  # another leg in media: another stream
    assert moved is not None
    assert moved.ours != second.ours


# --- offers of ours ---


def test_our_offer_has_a_fresh_key_for_each_suite() -> None:
    ours = session()
    media = read(ours.offer(20000)).media[0]
    lines = crypto_of(media)
    assert media.protocol == "RTP/SAVP"
    assert [line.suite for line in lines] == list(SUITES)
    assert [line.tag for line in lines] == [1, 2, 3, 4]
    again = crypto_of(read(ours.offer(20000)).media[0])
    assert not {line.key for line in lines} & {line.key for line in again}
    stream = ours.accept(sdp(f"3 {CM} inline:{b64encode(KEY).decode()}"))
    assert stream.srtp is not None
    assert (stream.srtp.ours, stream.srtp.theirs) == (again[2].key, KEY)
    # the phone holds: its key stays, and so does ours
    assert ours.answer(sdp(f"1 {CM} inline:{b64encode(KEY).decode()}"), 20000)[1].srtp == stream.srtp


@pytest.mark.parametrize("policy", list(SrtpPolicy))
def test_an_answer_without_keys(policy: SrtpPolicy) -> None:
    ours = session(policy)
    ours.offer(20000)
    if policy is SrtpPolicy.REQUIRED:
        with pytest.raises(NotAcceptable, match="none of our keys"):
            ours.accept(sdp(protocol="RTP/AVP"))
    else:
        assert ours.accept(sdp(protocol="RTP/AVP")).srtp is None


@pytest.mark.parametrize("line", [LINE, f"4 {CM} inline:{b64encode(KEY).decode()}", "3 X inline:y"])
def test_an_answer_with_a_key_for_a_line_that_we_did_not_offer_so(line: str) -> None:
    ours = session()
    ours.offer(20000)
    with pytest.raises(NotAcceptable, match="none of our keys"):
        ours.accept(sdp(line))


def test_in_the_clear_where_the_policy_allows() -> None:
    ours = session()
    assert ours.in_the_clear()
    assert b"RTP/AVP " in ours.offer(20000)
    assert b"crypto" not in ours.current
    assert not session(SrtpPolicy.REQUIRED).in_the_clear()
    assert not session(SrtpPolicy.OFF).in_the_clear()
    assert b"crypto" not in session(secure=False).offer(20000)
    with pytest.raises(NotAcceptable, match="may not go in the clear"):
        session(SrtpPolicy.REQUIRED, secure=False).offer(20000)


def test_a_refresh_that_is_answered_with_a_new_key() -> None:
    ours = session()
    before = ours.answer(sdp(LINE), 20000)[1].srtp
    assert before is not None
    assert ours.rekeyed(sdp(LINE)) is None
    stream = ours.rekeyed(sdp(f"1 {CM} inline:{b64encode(bytes(30)).decode()}"))
    assert stream is not None
    assert stream.srtp is not None
    assert (stream.srtp.ours, stream.srtp.theirs, stream.direction) == (before.ours, bytes(30), "sendrecv")
    assert ours.rekeyed(sdp(f"1 {CM} inline:{b64encode(bytes(30)).decode()}")) is None
    assert session(SrtpPolicy.OFF).rekeyed(sdp(protocol="RTP/AVP")) is None


# --- where keys must not be ---


def test_no_key_in_a_repr_or_in_the_ladder() -> None:
    ours = session()
    body, stream = ours.answer(sdp(LINE), 20000)
    text = b64encode(KEY).decode()
    assert stream.srtp is not None
    for shown in (repr(stream), repr(Crypto.parse(LINE))):
        assert text not in shown and repr(KEY) not in shown and repr(stream.srtp.ours) not in shown
    head = "INVITE sip:1@x SIP/2.0\r\nVia: SIP/2.0/TLS h;branch=z9hG4bKa\r\nFrom: <sip:a@x>;tag=1\r\nTo: <sip:1@x>\r\n"
    head += "Call-ID: c\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\nContent-Type: application/sdp\r\n"
    for content in (body, str(sdp(LINE)).encode()):
        message = parse(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        assert isinstance(message, Request)
        shown = redacted(message)
        assert f" {CM} ***" in shown
        assert "inline" not in shown
