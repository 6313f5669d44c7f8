import pytest
from hypothesis import given
from hypothesis import strategies as st

from sivo.sip import Peer, SipParseError, Uri


@pytest.mark.parametrize(
    "text",
    [
        "sip:alice@atlanta.example",
        "sips:alice@atlanta.example:5061",
        "sip:atlanta.example",
        "sip:alice:secret@atlanta.example;transport=tcp",
        "sip:+12125551212@gateway.example;user=phone",
        "sip:100@[2001:db8::10]:5070;lr",
        "sip:atlanta.example;method=REGISTER?to=alice%40atlanta.example",
        "tel:+34911234567;phone-context=example.com",
        "urn:service:sos",
        "sip:user;par=u%40example.net@example.com",
    ],
)
def test_uri_is_written_as_it_was_read(text: str) -> None:
    assert str(Uri.parse(text)) == text


def test_parts_are_unescaped_and_escaped_again() -> None:
    uri = Uri.parse("sip:sips%3Auser%40example.com@example.net;x=a%3Bb")
    assert uri.user == "sips:user@example.com"
    assert uri.params["x"] == "a;b"
    assert str(uri) == "sip:sips%3Auser%40example.com@example.net;x=a%3Bb"


@pytest.mark.parametrize(
    "text",
    ["", "sip:", "alice@atlanta", "sip:a@b:0", "sip:a@b:65536", "sip:a@b:x", "sip:a@", "sip:@b", "sip:a@b c",
     "sip:a@b>", "sip:a@[::1", "sip:a@b@c", "sip:a@b;=x", "1sip:a@b", "sip:" + "a" * 3000 + "@b"],
)  # fmt: skip
def test_what_is_no_uri_is_refused_with_the_header_named(text: str) -> None:
    with pytest.raises(SipParseError) as caught:
        Uri.parse(text, "Contact")
    assert caught.value.header == "Contact"


# RFC 3261 §19.1.4, its own examples
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        ("sip:alice@atlanta.com?subject=x&priority=urgent", "sip:alice@atlanta.com?priority=urgent&subject=x"),
    ],
)
def test_equal_uris(one: str, other: str) -> None:
    assert Uri.parse(one) == Uri.parse(other)
    assert hash(Uri.parse(one)) == hash(Uri.parse(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sip:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        ("sip:a@b", "sips:a@b"),
    ],
)
def test_different_uris(one: str, other: str) -> None:
    assert Uri.parse(one) != Uri.parse(other)


@pytest.mark.parametrize(
    ("text", "peer"),
    [
        ("sip:a@192.0.2.1", Peer("192.0.2.1", 5060, "UDP")),
        ("sip:a@192.0.2.1:5080;transport=tcp", Peer("192.0.2.1", 5080, "TCP")),
        ("sips:a@h.example", Peer("h.example", 5061, "TLS")),
        ("sip:a@h.example;transport=tls", Peer("h.example", 5061, "TLS")),
        ("sip:a@h.example;maddr=192.0.2.9", Peer("192.0.2.9", 5060, "UDP")),
        ("sip:a@[::1]:5070", Peer("::1", 5070, "UDP")),
    ],
)
def test_where_a_uri_leads(text: str, peer: Peer) -> None:
    assert Uri.parse(text).peer() == peer


_characters = st.characters(codec="utf-8", exclude_characters="\0")
_values = st.none() | st.text(_characters, min_size=1, max_size=20)
_names = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=12)


@given(
    user=st.none() | st.text(_characters, min_size=1, max_size=30),
    host=st.sampled_from(["a.example", "192.0.2.1", "[2001:db8::1]", "localhost"]),
    port=st.none() | st.integers(1, 65535),
    params=st.dictionaries(
        _names.map(str.lower), st.none() | st.text(_characters, min_size=1, max_size=20), max_size=4
    ),
)
def test_any_uri_survives_the_round_trip(
    user: str | None, host: str, port: int | None, params: dict[str, str | None]
) -> None:
    uri = Uri("sip", user, host, port, params)
    assert Uri.parse(str(uri)) == uri
    assert Uri.parse(str(uri)).user == user
    assert dict(Uri.parse(str(uri)).params) == params
