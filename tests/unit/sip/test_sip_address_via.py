import pytest
from hypothesis import given
from hypothesis import strategies as st

from sivo.sip import NameAddr, Peer, SipParseError, Uri, Via


@pytest.mark.parametrize(
    ("text", "display", "uri", "params"),
    [
        ('"Bell, A. \\"G\\"" <sip:a@b;x=1>;tag=7', 'Bell, A. "G"', "sip:a@b;x=1", {"tag": "7"}),
        ("Anonymous  User <sip:c8oqz@h>;tag=hyh8", "Anonymous User", "sip:c8oqz@h", {"tag": "hyh8"}),
        ("sip:+1212@server.example;tag=887s", "", "sip:+1212@server.example", {"tag": "887s"}),
        ("<sip:a@b>;expires=60;q=0.5;lr", "", "sip:a@b", {"expires": "60", "q": "0.5", "lr": None}),
        ("<tel:+34>", "", "tel:+34", {}),
        ('""<sip:a@b>', "", "sip:a@b", {}),
    ],
)
def test_addresses(text: str, display: str, uri: str, params: dict[str, str | None]) -> None:
    address = NameAddr.parse(text)
    assert (address.display, str(address.uri), dict(address.params)) == (display, uri, params)
    assert NameAddr.parse(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        '"open <sip:a@b>',
        "<sip:a@b",
        '"x" sip:a@b',
        "<sip:a@b> x",
        "sip:a@b?h=1",
        "<sip:a@b>;t g=1",
        "sip:a@b,sip:c@d",
    ],
)
def test_bad_addresses_name_their_header(text: str) -> None:
    with pytest.raises(SipParseError) as caught:
        NameAddr.parse(text, "To")
    assert caught.value.header == "To"


def test_tags_are_set_and_taken_away() -> None:
    address = NameAddr.parse("<sip:a@b>;x=1")
    assert address.tag is None
    assert str(address.with_tag("9")) == "<sip:a@b>;x=1;tag=9"
    assert address.with_tag("9").with_tag(None) == address


@given(st.text(max_size=40))
def test_any_display_name_survives(display: str) -> None:
    address = NameAddr(display, Uri.parse("sip:a@b"), {"tag": "1"})
    expected = display.replace("\r", " ").replace("\n", " ").replace("\0", " ")
    assert NameAddr.parse(str(address)).display == expected


@pytest.mark.parametrize(
    ("text", "sent_by", "branch"),
    [
        ("SIP/2.0/UDP host.example:5061;branch=z9hG4bK1;rport", "host.example:5061", "z9hG4bK1"),
        ("SIP / 2.0 / UDP Host.Example ;branch=z9hG4bK2", "host.example:5060", "z9hG4bK2"),
        ("SIP/2.0/TLS [2001:db8::9]:5070;branch=b", "[2001:db8::9]:5070", "b"),
        ("SIP/2.0/TLS h", "h:5061", ""),
        ("sip/2.0/udp 192.0.2.1;received=192.0.2.9;ttl=1", "192.0.2.1:5060", ""),
    ],
)
def test_vias(text: str, sent_by: str, branch: str) -> None:
    via = Via.parse(text)
    assert (via.sent_by, via.branch) == (sent_by, branch)
    assert Via.parse(str(via)) == via


@pytest.mark.parametrize(
    "text", ["", "SIP/2.0/UDP", "SIP/3.0/UDP h", "HTTP/2.0/UDP h", "SIP/2.0/UDP h:99999", "SIP/2.0/UDP ;x"]
)
def test_bad_vias(text: str) -> None:
    with pytest.raises(SipParseError) as caught:
        Via.parse(text)
    assert caught.value.header == "Via"


def test_rport_is_filled_and_answers_go_to_the_source_port() -> None:
    source = Peer("198.51.100.7", 4444)
    via = Via.parse("SIP/2.0/UDP 10.0.0.1:5060;branch=b;rport").seen_from(source)
    assert str(via) == "SIP/2.0/UDP 10.0.0.1:5060;branch=b;rport=4444;received=198.51.100.7"
    assert via.answer_to(source) == source


def test_without_rport_answers_go_to_the_port_of_the_via_but_to_the_source_address() -> None:
    source = Peer("198.51.100.7", 4444)
    via = Via.parse("SIP/2.0/UDP 10.0.0.1:5070;branch=b").seen_from(source)
    assert via.params["received"] == "198.51.100.7"
    assert via.answer_to(source) == Peer("198.51.100.7", 5070)


def test_received_is_not_added_when_the_via_tells_the_truth() -> None:
    via = Via.parse("SIP/2.0/UDP 198.51.100.7:5070;branch=b")
    assert via.seen_from(Peer("198.51.100.7", 4444)) == via


def test_a_via_cannot_send_our_answers_to_a_third_party() -> None:
    via = Via.parse("SIP/2.0/UDP victim.example;maddr=203.0.113.1;received=203.0.113.2;branch=b")
    assert via.answer_to(Peer("198.51.100.7", 4444)).host == "198.51.100.7"


def test_stream_answers_go_back_on_their_flow() -> None:
    source = Peer("198.51.100.7", 4444, "TCP", "flow-1")
    assert Via.parse("SIP/2.0/TCP 10.0.0.1;branch=b").answer_to(source) == source
