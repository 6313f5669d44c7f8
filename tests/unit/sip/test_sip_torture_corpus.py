"""Every message of RFC 4475 and RFC 5118, byte for byte as it stands there, with the verdict that it has to get.

RFC 4475's files are those of the archive in its appendix A. RFC 5118's are the messages of its section 4, with CRLF and
with the Content-Length that their bodies then have (it prints 268, 181 and 236, of which the last fits lines without
CR). Verdicts are those that the RFCs ask for; where they leave a choice (*may*), the choice is ours and said here.
"""

from pathlib import Path

import pytest
from sip_bench import Bench

from sivo.sip import NotAcceptable, Request, SessionDescription, SipParseError, parse
from sivo.sip.offer_answer import audio_of
from sivo.sip.transactions import Dropped, Incoming, Send

DATA = Path(__file__).parents[2] / "data" / "sip"

#: ``heard``: goes to the transaction user. A number: answered so, without state. ``dropped``: no answer is due.
RFC_4475 = {
    # 3.1.1 valid messages
    "wsinv": "heard", "intmeth": "heard", "esc01": "heard", "escnull": "heard", "esc02": "heard",
    "lwsdisp": "heard", "longreq": "heard", "dblreq": "heard", "semiuri": "heard", "transports": "heard",
    "mpart01": "heard", "unreason": "dropped", "noreason": "dropped",  # responses to nothing of ours
    # 3.1.2 invalid messages
    "badinv01": 400, "clerr": 400, "ncl": 400, "scalar02": 400, "scalarlg": "dropped", "quotbal": 400,
    "ltgtruri": 400, "lwsruri": 400, "lwsstart": 400,
    "trws": "heard",  # may: the spaces at the end of the start line are ignored
    "escruri": "heard",  # may: headers in the Request-URI are ignored
    "baddate": "heard",  # may: nobody reads Date
    "regbadct": 400,
    "badaspec": "heard",  # may: spaces inside the brackets are ignored
    "baddn": "heard",  # may: an unquoted comma in a display name
    "badvers": 505, "mismatch01": 400, "mismatch02": 400, "bigcode": "dropped",
    # 3.2 transaction layer
    "badbranch": "heard",  # matched as RFC 2543 does
    # 3.3 application layer: those that are valid go to the transaction user, see its own tests
    "insuf": 400, "unkscm": 416, "novelsc": 416, "unksm2": "heard", "bext01": "heard", "invut": "heard",
    "regaut01": "heard", "multi01": 400, "mcl01": 400, "bcast": "dropped", "zeromf": "heard",
    "cparam01": "heard", "cparam02": "heard", "regescrt": "heard", "sdp01": "heard",
    # 3.4 backward compatibility
    "inv2543": "heard",
}  # fmt: skip
RFC_5118 = {
    "ipv6-good": "heard", "ipv6-bad": 400, "port-ambiguous": "heard", "port-unambiguous": "heard",
    "via-received-param-with-delim": "heard", "via-received-param-no-delim": "heard", "ipv6-in-sdp": "heard",
    "mult-ip-in-header": "heard", "mult-ip-in-sdp": "heard", "ipv4-mapped-ipv6": "heard",
    "ipv6-bug-abnf-3-colons": "heard",  # liberal: it comes from the grammar of RFC 3261 itself
    "ipv6-correct-abnf-2-colons": "heard",
}  # fmt: skip


def message(rfc: str, name: str) -> bytes:
    return (DATA / rfc / f"{name}.dat").read_bytes()


def read(rfc: str, name: str) -> Request:
    found = parse(message(rfc, name))
    assert isinstance(found, Request)
    return found


def test_the_corpus_is_complete_and_as_published() -> None:
    assert {path.stem for path in (DATA / "rfc4475").glob("*.dat")} == RFC_4475.keys()
    assert {path.stem for path in (DATA / "rfc5118").glob("*.dat")} == RFC_5118.keys()
    assert (len(RFC_4475), len(RFC_5118)) == (49, 12)
    assert len(message("rfc4475", "longreq")) == 3515
    assert b"\xd0\xbd\xd0\xbe" in message("rfc4475", "unreason")  # its Cyrillic reason, in UTF-8


@pytest.mark.parametrize(
    ("rfc", "name", "verdict"),
    [("rfc4475", *item) for item in RFC_4475.items()] + [("rfc5118", *item) for item in RFC_5118.items()],
)
def test_verdict(rfc: str, name: str, verdict: str | int) -> None:
    bench = Bench()
    outputs = bench.receive(message(rfc, name))
    answers = [output.message for output in outputs if isinstance(output, Send)]
    match verdict:
        case "heard":
            assert [type(output) for output in outputs] == [Incoming]
        case "dropped":
            assert [type(output) for output in outputs] == [Dropped]
        case status:
            assert [getattr(answer, "status", 0) for answer in answers] == [status]
            assert answers[0].headers.get("Call-ID") == (bench.asked[-1].headers.get("Call-ID") or "")
            assert bench.layer.active["server"] == 0
            assert bench.layer.next_timer() is None


@pytest.mark.parametrize(
    ("rfc", "name"), [("rfc4475", name) for name in RFC_4475] + [("rfc5118", name) for name in RFC_5118]
)
def test_a_stranger_gets_no_answer_to_any_of_them(rfc: str, name: str) -> None:
    bench = Bench()
    bench.refuse.add("192.0.2.10")
    assert [type(output) for output in bench.receive(message(rfc, name))] == [Dropped]
    assert bench.layer.active == {"server": 0, "client": 0, "answered": 0}


def test_dblreq_the_second_message_of_the_datagram_is_ignored() -> None:
    assert read("rfc4475", "dblreq").method == "REGISTER"
    assert read("rfc4475", "dblreq").body == b""


def test_esc01_and_semiuri_users_are_unescaped_once() -> None:
    assert read("rfc4475", "esc01").uri.user == "sips:user@example.com"
    assert read("rfc4475", "semiuri").uri.user == "user;par=u@example.net"


def test_cparam_parameters_belong_to_the_header_or_to_the_uri() -> None:
    outside, inside = (read("rfc4475", name).contacts[0] for name in ("cparam01", "cparam02"))
    assert ("unknownparam" in outside.params, "unknownparam" in outside.uri.params) == (True, False)
    assert ("unknownparam" in inside.params, "unknownparam" in inside.uri.params) == (False, True)


def test_mpart01_a_body_with_every_byte_is_kept() -> None:
    request = read("rfc4475", "mpart01")
    assert request.content_type == "multipart/mixed"
    assert message("rfc4475", "mpart01").endswith(request.body)
    assert len(request.body) == int(request.headers.get("Content-Length") or 0)


def test_inv2543_a_call_of_the_old_kind_can_be_answered() -> None:
    request = read("rfc4475", "inv2543")
    assert (request.from_.tag, request.via.branch, request.max_forwards) == (None, "", 70)
    assert audio_of(SessionDescription.parse(request.body)).port == 49217


def test_port_ambiguous_is_an_address_and_port_unambiguous_has_a_port() -> None:
    ambiguous, clear = (read("rfc5118", f"port-{name}").uri for name in ("ambiguous", "unambiguous"))
    assert (ambiguous.host, ambiguous.port) == ("[2001:db8::10:5070]", None)
    assert (clear.host, clear.port) == ("[2001:db8::10]", 5070)


@pytest.mark.parametrize("kind", ["with", "no"])
def test_received_is_understood_with_and_without_brackets(kind: str) -> None:
    via = read("rfc5118", f"via-received-param-{kind}-delim").via
    assert (via.params["received"] or "").strip("[]") == "2001:db8::9:255"


def test_sdp_of_both_families() -> None:
    both = SessionDescription.parse(read("rfc5118", "mult-ip-in-sdp").body)
    assert audio_of(both).host == "192.0.2.1"
    assert [both.address_of(media) for media in both.media] == ["192.0.2.1", "2001:db8::1"]
    for name, host in (("ipv6-in-sdp", "2001:db8::20"), ("ipv4-mapped-ipv6", "::ffff:192.0.2.2")):
        found = SessionDescription.parse(read("rfc5118", name).body)
        assert {found.address_of(media) for media in found.media} == {host}
        with pytest.raises(NotAcceptable):  # G.726 only: not the address is the reason
            audio_of(found)


def test_mapped_addresses_of_two_hops() -> None:
    request = read("rfc5118", "ipv4-mapped-ipv6")
    assert request.headers.all("Via")[1].startswith("SIP/2.0/UDP [::ffff:192.0.2.2];")
    assert (request.via.host, request.via.port) == ("[::ffff:192.0.2.10]", 19823)
    assert request.contacts[0].uri.host == "[::ffff:192.0.2.2]"


@pytest.mark.parametrize("name", RFC_5118)
def test_each_body_is_as_long_as_its_header_says(name: str) -> None:
    """What is longer or shorter would be another test than the one that the RFC describes."""
    head, _, body = message("rfc5118", name).partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}" in head.decode().split("\r\n")


def test_what_is_heard_is_written_so_that_it_reads_the_same() -> None:
    for rfc, table in (("rfc4475", RFC_4475), ("rfc5118", RFC_5118)):
        for name in table:
            try:
                found = parse(message(rfc, name))
            except SipParseError:
                continue
            assert bytes(parse(bytes(found))) == bytes(found), name
