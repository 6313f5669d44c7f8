import pytest
from hypothesis import given
from hypothesis import strategies as st

from sivo.sip import Headers, NameAddr, Request, Response, SipParseError, Uri, new_request, parse
from sivo.sip.message import MAX_MESSAGE, response_to

INVITE = (
    b"INVITE sip:bob@biloxi.example SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP pc33.atlanta.example;branch=z9hG4bK776asdhds\r\n"
    b"Max-Forwards: 70\r\n"
    b"To: Bob <sip:bob@biloxi.example>\r\n"
    b"From: Alice <sip:alice@atlanta.example>;tag=1928301774\r\n"
    b"Call-ID: a84b4c76e66710@pc33.atlanta.example\r\n"
    b"CSeq: 314159 INVITE\r\n"
    b"Contact: <sip:alice@pc33.atlanta.example>\r\n"
    b"Content-Type: application/sdp\r\n"
    b"Content-Length: 4\r\n\r\nv=0\n"
)


def without(name: bytes) -> bytes:
    return b"\r\n".join(line for line in INVITE.split(b"\r\n") if not line.startswith(name + b":"))


def with_line(line: bytes) -> bytes:
    return INVITE.replace(b"Max-Forwards: 70\r\n", line + b"\r\n")


def test_a_request_is_read() -> None:
    request = parse(INVITE)
    assert isinstance(request, Request)
    assert (request.method, str(request.uri)) == ("INVITE", "sip:bob@biloxi.example")
    assert request.call_id == "a84b4c76e66710@pc33.atlanta.example"
    assert request.cseq == (314159, "INVITE")
    assert (request.from_.tag, request.to.tag, request.to.display) == ("1928301774", None, "Bob")
    assert request.via.branch == "z9hG4bK776asdhds"
    assert [str(contact.uri) for contact in request.contacts] == ["sip:alice@pc33.atlanta.example"]
    assert (request.max_forwards, request.content_type, request.body) == (70, "application/sdp", b"v=0\n")
    assert bytes(parse(bytes(request))) == bytes(request)


@pytest.mark.parametrize(
    "data",
    [
        INVITE.replace(b"\r\n", b"\n"),
        b"\r\n\r\n" + INVITE,
        INVITE.replace(b"CSeq: 314159 INVITE", b"CSeq :\r\n 314159\r\n\t INVITE"),
        INVITE.replace(b"Via:", b"v:").replace(b"To:", b"t :").replace(b"Call-ID:", b"i:"),
        INVITE.replace(b"Content-Length: 4\r\n", b""),
        INVITE + b"trailing rubbish of a datagram",
        without(b"Max-Forwards"),
        INVITE.replace(b"SIP/2.0\r\nVia", b"sip/2.0\r\nVia", 1),
    ],
)
def test_what_is_only_untidy_is_read_and_written_tidily(data: bytes) -> None:
    message = parse(data)
    assert message.cseq == (314159, "INVITE")
    if b"Content-Length" in data:
        assert message.body == b"v=0\n"
    assert bytes(message).startswith(b"INVITE sip:bob@biloxi.example SIP/2.0\r\nVia: ")
    assert f"Content-Length: {len(message.body)}\r\n\r\n".encode() in bytes(message)


@pytest.mark.parametrize(
    ("data", "header"),
    [
        (without(b"Via"), "Via"),
        (without(b"From"), "From"),
        (without(b"To"), "To"),
        (without(b"Call-ID"), "Call-ID"),
        (without(b"CSeq"), "CSeq"),
        (INVITE.replace(b"314159 INVITE", b"314159 ACK"), "CSeq"),
        (INVITE.replace(b"314159", b"36893488147419103232"), "CSeq"),
        (INVITE.replace(b"314159", b"-1"), "CSeq"),
        (INVITE.replace(b"Length: 4", b"Length: 5"), "Content-Length"),
        (INVITE.replace(b"Length: 4", b"Length: -4"), "Content-Length"),
        (INVITE.replace(b"Length: 4", b"Length: 4\r\nl: 3"), "Content-Length"),
        (with_line(b"Max-Forwards: 256"), "Max-Forwards"),
        (with_line(b"f: <sip:x@y>;tag=2"), "From"),
        (INVITE.replace(b"UDP pc33.atlanta.example", b"UDP :"), "Via"),
        (with_line(b"Contact: <sip:a@b"), "Contact"),
        (with_line(b"Route: rubbish"), "Route"),
        (with_line(b"no colon here"), "no colon here"),
        (with_line(b"Bad Name: x"), "Bad Name"),
        (INVITE.replace(b"application/sdp", b"sdp"), "Content-Type"),
        (INVITE.replace(b"SIP/2.0\r\nVia", b"SIP/7.0\r\nVia", 1), "start line"),
        (INVITE.replace(b"INVITE sip:bob@biloxi.example", b"INVITE <sip:bob@biloxi.example>", 1), "Request-URI"),
        (INVITE.replace(b"INVITE sip:bob@biloxi.example SIP", b"INVITE  sip:bob@biloxi.example SIP", 1), "start line"),
        (INVITE.replace(b"INVITE sip:bob@biloxi.example SIP", b"IN{ITE sip:bob@biloxi.example SIP", 1), "start line"),
        (b"SIP/2.0 700 Strange\r\n\r\n", "start line"),
        (b"hello", "start line"),
        (b"", "start line"),
    ],
)  # fmt: skip
def test_what_cannot_be_trusted_is_refused_by_name(data: bytes, header: str) -> None:
    with pytest.raises(SipParseError) as caught:
        parse(data)
    assert caught.value.header == header
    assert caught.value.code == "SIP_PARSE"


def test_a_nul_never_gets_through() -> None:
    message = parse(INVITE.replace(b"Bob <sip:bob@", b'"B\\\0b" <sip:b%00b@'))
    assert message.to.display == "B\ufffdb"
    assert message.to.uri.user == "b%00b"
    assert str(message.to.uri) == "sip:b%00b@biloxi.example"
    assert b"\0" not in bytes(message)


def test_limits() -> None:
    with pytest.raises(SipParseError, match="bytes"):
        parse(INVITE + b"x" * MAX_MESSAGE)
    with pytest.raises(SipParseError, match="headers"):
        parse(with_line(b"\r\n".join([b"X: y"] * 300)))
    with pytest.raises(SipParseError, match="lines"):
        parse(with_line(b"X: y\r\n" + b" z\r\n" * 1000 + b"A: b"))


def test_versions_we_do_not_speak_deserve_505() -> None:
    with pytest.raises(SipParseError) as caught:
        parse(INVITE.replace(b"SIP/2.0\r\nVia", b"SIP/3.0\r\nVia", 1))
    assert caught.value.sip_status == 505


def test_a_response_is_read_and_its_reason_kept() -> None:
    data = INVITE.replace(b"INVITE sip:bob@biloxi.example SIP/2.0", b"SIP/2.0 183 En cours \xc3\xa9")
    response = parse(data)
    assert isinstance(response, Response)
    assert (response.status, response.reason, response.is_provisional) == (183, "En cours é", True)
    assert parse(data.replace(b"183 En cours \xc3\xa9", b"200 ")).start_line == "SIP/2.0 200 "


def test_an_answer_copies_what_it_must() -> None:
    request = parse(
        with_line(b"Via: SIP/2.0/UDP second;branch=z9hG4bK2, SIP/2.0/UDP third\r\nRecord-Route: <sip:p;lr>")
    )
    assert isinstance(request, Request)
    ringing = response_to(request, 180, to_tag="us")
    assert len(ringing.headers.all("Via")) == 3
    assert ringing.headers.all("Via") == request.headers.all("Via")
    assert ringing.to.tag == "us"
    assert ringing.headers.get("Record-Route") == "<sip:p;lr>"
    assert (ringing.from_, ringing.call_id, ringing.cseq) == (request.from_, request.call_id, request.cseq)
    assert response_to(request, 100, to_tag="us").to.tag is None
    assert "Record-Route" not in response_to(request, 486, to_tag="us").headers


def test_trying_echoes_the_timestamp() -> None:
    request = parse(with_line(b"Timestamp: 54"))
    assert isinstance(request, Request)
    assert response_to(request, 100).headers.get("Timestamp") == "54"


def test_a_new_request_is_complete_but_for_its_via() -> None:
    to = Uri.parse("sip:100@t1.example")
    request = new_request("OPTIONS", to, from_=NameAddr(uri=Uri.parse("sip:us@t1.example")), to=NameAddr(uri=to))
    assert request.from_.tag
    assert request.to.tag is None
    assert request.cseq == (1, "OPTIONS")
    with pytest.raises(SipParseError, match="Via"):
        request.validate()
    request.headers.prepend("Via", "SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKx")
    request.validate()


_values = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=40).map(str.strip)
_fields = st.lists(st.tuples(st.sampled_from(["X-One", "Subject", "X-Two"]), _values), max_size=6)


@given(fields=_fields, body=st.binary(max_size=200), uri=st.sampled_from(["sip:a@b", "sip:[::1]:5070;lr", "tel:+1"]))
def test_any_message_survives_the_round_trip(fields: list[tuple[str, str]], body: bytes, uri: str) -> None:
    base = list(parse(INVITE).headers.items())
    request = Request("INVITE", uri, Headers(base + fields), body)
    again = parse(bytes(request))
    assert isinstance(again, Request)
    assert again.body == body
    for name in ("X-One", "Subject", "X-Two"):
        assert again.headers.all(name) == [value for known, value in fields if known == name]
    assert bytes(again) == bytes(request)


@pytest.mark.parametrize("change", ["set", "add", "prepend", "take", "remove", "copy"])
def test_what_was_read_of_a_header_is_forgotten_when_it_changes(change: str) -> None:
    request = Request("BYE", "sip:a@b", [("From", "<sip:one@b>;tag=1"), ("To", "<sip:c@d>"), ("CSeq", "1 BYE")])
    assert (request.from_.uri.user, request.cseq) == ("one", (1, "BYE"))
    other = Headers([("f", "<sip:two@b>;tag=2")])
    match change:
        case "set":
            request.headers.set("from", "<sip:two@b>;tag=2")
        case "add":
            request.headers.remove("f")
            request.headers.add("F", "<sip:two@b>;tag=2")
        case "prepend":
            request.headers.prepend("FROM", "<sip:two@b>;tag=2")
        case "take":
            request.headers.remove("from")
            request.headers.take(other, "f")
        case "remove":
            request.headers.remove("from")
            with pytest.raises(SipParseError):
                _ = request.from_
            return
        case "copy":
            request = request.copy()
            request.headers.set("From", "<sip:two@b>;tag=2")
    assert (request.from_.uri.user, request.from_.tag, request.cseq) == ("two", "2", (1, "BYE"))
