"""SDP (RFC 4566) and offer/answer (RFC 3264)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sivo.sip import LocalSession, NotAcceptable, SessionDescription, SipParseError
from sivo.sip.offer_answer import audio_of

OFFER = (
    "v=0\r\no=alice 2890844526 2890844527 IN IP4 192.0.2.10\r\ns=call\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n"
    "m=audio 49170 RTP/AVP 8 0 97\r\na=rtpmap:97 telephone-event/8000\r\na=fmtp:97 0-15\r\na=ptime:20\r\n"
)


def sdp(text: str = OFFER) -> SessionDescription:
    return SessionDescription.parse(text.encode())


def changed(old: str, new: str) -> SessionDescription:
    assert old in OFFER
    return sdp(OFFER.replace(old, new))


def test_a_description_is_read_and_written_with_the_same_meaning() -> None:
    text = (
        "v=0\r\no=jdoe 1 2 IN IP6 2001:db8::1\r\ns=x\r\ni=info\r\nc=IN IP6 2001:db8::1\r\nb=AS:64\r\nt=0 0\r\n"
        "a=sendonly\r\nm=audio 49170/2 RTP/AVP 0\r\ni=title\r\nc=IN IP4 192.0.2.1\r\nb=TIAS:64000\r\na=ptime:30\r\n"
        "m=video 0 RTP/AVP 31\r\n"
    )
    assert str(sdp(text)) == text
    parsed = sdp(text)
    assert parsed.address_of(parsed.media[0]) == "192.0.2.1"
    assert parsed.address_of(parsed.media[1]) == "2001:db8::1"
    assert parsed.direction_of(parsed.media[0]) == "sendonly"
    assert (parsed.media[0].port_count, parsed.origin.version) == (2, "2")


@pytest.mark.parametrize(
    "text",
    ["", "v=0\r\n", "o=- 1 1 IN IP4 x\r\ns=-\r\n", OFFER.replace("v=0", "v=1"), "v=0\r\n" + OFFER,
     OFFER.replace("o=alice 2890844526", "o=alice x"), OFFER.replace("IN IP4 192.0.2.10\r\nt", "IN IP9 x\r\nt"),
     OFFER.replace("49170", "70000"), OFFER.replace("m=audio 49170 RTP/AVP 8 0 97", "m=audio"), OFFER + "rubbish\r\n",
     OFFER + "a=\r\n", OFFER + "m=audio 1 RTP/AVP 0\r\n" * 40, OFFER + "a=x\r\n" * 1200, OFFER + "a=x\0\r\n"],
)  # fmt: skip
def test_what_is_no_description_is_refused(text: str) -> None:
    with pytest.raises(SipParseError) as caught:
        sdp(text)
    assert caught.value.header == "SDP"


def test_bare_lf_and_missing_s_and_t_are_read() -> None:
    assert sdp("v=0\no=- 1 1 IN IP4 192.0.2.1\nc=IN IP4 192.0.2.1\nm=audio 4000 RTP/AVP 0\n").media[0].port == 4000


def test_the_answer_takes_one_codec_and_the_offers_event_number() -> None:
    body, stream = LocalSession("192.0.2.1", session_id=5).answer(sdp(), 20000)
    assert (stream.host, stream.port) == ("192.0.2.10", 49170)
    assert (stream.payload_type, stream.dtmf_payload_type, stream.ptime_ms) == (0, 97, 20)
    assert (stream.direction, stream.held) == ("sendrecv", False)
    assert body.decode() == (
        "v=0\r\no=- 5 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 20000 RTP/AVP 0 97\r\n"
        "a=rtpmap:0 PCMU/8000\r\na=rtpmap:97 telephone-event/8000\r\na=fmtp:97 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
    )


def test_our_order_of_codecs_decides_the_answer_and_theirs_what_we_send_after_our_offer() -> None:
    assert LocalSession("192.0.2.1", codecs=(8, 0)).answer(sdp(), 1)[1].payload_type == 8
    session = LocalSession("192.0.2.1")
    session.offer(20000)
    assert session.accept(sdp()).payload_type == 8


def test_no_events_offered_none_answered() -> None:
    body, stream = LocalSession("192.0.2.1").answer(
        changed(" 97\r\na=rtpmap:97 telephone-event/8000\r\na=fmtp:97 0-15", ""), 1
    )
    assert stream.dtmf_payload_type is None
    assert b"telephone-event" not in body


def test_every_other_stream_is_refused_in_its_place() -> None:
    offer = sdp(
        OFFER.replace("m=audio", "m=video 5000 RTP/AVP 31\r\nm=audio", 1)
        + "m=audio 6000 RTP/AVP 0\r\nm=image 7000 udptl t38\r\nm=audio 8000 RTP/SAVP 0\r\n"
    )
    answer = sdp(LocalSession("192.0.2.1").answer(offer, 20000)[0].decode())
    assert [(m.kind, m.port, m.protocol) for m in answer.media] == [
        ("video", 0, "RTP/AVP"),
        ("audio", 20000, "RTP/AVP"),
        ("audio", 0, "RTP/AVP"),
        ("image", 0, "UDPTL"),
        ("audio", 0, "RTP/SAVP"),
    ]


@pytest.mark.parametrize(
    "offer",
    [
        changed("RTP/AVP 8 0 97", "RTP/AVP 9 97"),
        changed("RTP/AVP", "RTP/SAVP"),
        changed("49170", "0"),
        changed("m=audio", "m=video"),
        changed("c=IN IP4 192.0.2.10", "c=IN IP4 media.example"),
        changed("c=IN IP4 192.0.2.10", "c=IN IP4 224.2.1.1/127"),
        changed("c=IN IP4 192.0.2.10\r\n", ""),
        changed("RTP/AVP 8 0 97", "RTP/AVP 96 97\r\na=rtpmap:96 PCMU/16000"),
    ],
)
def test_offers_without_anything_for_us(offer: SessionDescription) -> None:
    with pytest.raises(NotAcceptable):
        LocalSession("192.0.2.1").answer(offer, 20000)


def test_a_refused_stream_in_the_answer_is_no_stream() -> None:
    session = LocalSession("192.0.2.1")
    session.offer(20000)
    with pytest.raises(NotAcceptable):
        session.accept(changed("49170", "0"))


@pytest.mark.parametrize(
    ("line", "ours", "direction", "held"),
    [
        ("a=sendrecv", "sendrecv", "sendrecv", False),
        ("a=sendonly", "sendrecv", "recvonly", True),
        ("a=recvonly", "sendrecv", "sendonly", False),
        ("a=inactive", "sendrecv", "inactive", True),
        ("a=sendrecv", "sendonly", "sendonly", False),
        ("a=sendonly", "sendonly", "inactive", True),
        ("a=recvonly", "recvonly", "inactive", True),
        ("a=sendrecv", "inactive", "inactive", True),
    ],
)
def test_directions_meet(line: str, ours: str, direction: str, held: bool) -> None:
    body, stream = LocalSession("192.0.2.1").answer(sdp(OFFER + line + "\r\n"), 20000, ours)
    assert (stream.direction, stream.held) == (direction, held)
    assert f"a={direction}\r\n".encode() in body


def test_a_direction_of_the_session_counts_where_the_media_has_none() -> None:
    assert audio_of(changed("t=0 0\r\n", "t=0 0\r\na=sendonly\r\n")).direction == "recvonly"


def test_hold_in_the_manner_of_rfc_2543() -> None:
    stream = audio_of(changed("c=IN IP4 192.0.2.10", "c=IN IP4 0.0.0.0"))
    assert (stream.direction, stream.held) == ("recvonly", True)
    assert (
        audio_of(sdp(OFFER.replace("c=IN IP4 192.0.2.10", "c=IN IP4 0.0.0.0") + "a=recvonly\r\n")).direction
        == "inactive"
    )


@pytest.mark.parametrize(
    ("line", "ptime"),
    [("a=ptime:10", 10), ("a=ptime:30", 30), ("a=ptime:25", 20), ("a=ptime:x", 20), ("a=ptime:5", 10),
     ("a=ptime:200", 60), ("a=ptime:30\r\na=maxptime:20", 20), ("a=x", 20)],
)  # fmt: skip
def test_ptime(line: str, ptime: int) -> None:
    assert audio_of(changed("a=ptime:20", line)).ptime_ms == ptime


def test_the_version_rises_only_when_something_changed() -> None:
    session = LocalSession("192.0.2.1", session_id=9)
    versions = [
        sdp(body.decode()).origin.version
        for body in (session.offer(2), session.offer(2), session.offer(2, "sendonly"), session.offer(4, "sendonly"))
    ]
    assert versions == ["1", "1", "2", "3"]


def test_our_offer() -> None:
    offer = sdp(LocalSession("2001:db8::1", codecs=(8,), dtmf=None, ptime=30).offer(4000).decode())
    assert offer.connection == "2001:db8::1"
    assert offer.media[0].codecs() == [(8, "PCMA/8000")]
    assert offer.media[0].attribute("ptime") == "30"


OTHERS = ["m=video 1 RTP/AVP 31", "m=application 2 TCP/MRCPv2 1", "m=audio 9 UDP/TLS/RTP/SAVPF 0"]


@given(
    port=st.integers(1, 65535),
    formats=st.lists(st.sampled_from([0, 8, 9, 18, 96, 101]), min_size=1, max_size=5, unique=True),
    others=st.lists(st.sampled_from(OTHERS), max_size=3),
    direction=st.sampled_from(["sendrecv", "sendonly", "recvonly", "inactive"]),
)  # fmt: skip
def test_every_answer_fits_its_offer(port: int, formats: list[int], others: list[str], direction: str) -> None:
    media = f"m=audio {port} RTP/AVP {' '.join(map(str, formats))}\r\na={direction}"
    offer = sdp(
        "\r\n".join(["v=0", "o=- 1 1 IN IP4 192.0.2.9", "s=-", "c=IN IP4 192.0.2.9", "t=0 0", *others, media, ""])
    )
    try:
        body, stream = LocalSession("192.0.2.1").answer(offer, 20000)
    except NotAcceptable:
        assert not {0, 8} & set(formats)
        return
    answer = SessionDescription.parse(body)
    assert [m.kind for m in answer.media] == [m.kind for m in offer.media]
    assert [m.port for m in answer.media].count(20000) == 1
    assert int(answer.media[-1].formats[0]) in formats
    assert stream.payload_type in (0, 8)
