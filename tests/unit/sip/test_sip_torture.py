"""Messages of the kinds that RFC 4475 and RFC 5118 collect: valid ones that look wrong, and wrong ones that look valid.

Each is named like its section's message there and is a variation of it; the corpus itself is judged in
``test_sip_torture_corpus``.
"""

import pytest

from sivo.sip import Request, SipParseError, parse

TAIL = (
    "To: sip:user@example.com\r\nFrom: sip:caller@example.net;tag=1\r\nMax-Forwards: 70\r\nCall-ID: {name}\r\n"
    "CSeq: 1 OPTIONS\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nl: 0\r\n"
)


def options(name: str, uri: str = "sip:user@example.com", *extra: str, tail: str = TAIL) -> bytes:
    lines = "".join(f"{line}\r\n" for line in extra)
    return (f"OPTIONS {uri} SIP/2.0\r\n" + tail.replace("{name}", name) + lines + "\r\n").encode()


def read(data: bytes) -> Request:
    message = parse(data)
    assert isinstance(message, Request)
    return message


def refused(data: bytes) -> SipParseError:
    with pytest.raises(SipParseError) as caught:
        parse(data)
    return caught.value


def test_wsinv_every_kind_of_white_space() -> None:
    request = read(
        b"INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0\r\n"
        b"TO :\r\n sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n\r\n"
        b'from   : "J Rosenberg \\\\\\""       <sip:jdrosen@example.com>\r\n  ;\r\n  tag = 98asjd8\r\n'
        b"MaX-fOrWaRdS: 0068\r\nCall-ID: wsinv.ndaksdj@192.0.2.1\r\nContent-Length   : 0\r\n"
        b"cseq: 0009\r\n  INVITE\r\nVia  : SIP  /   2.0\r\n /UDP\r\n    192.0.2.2;branch=390skdjuw\r\ns :\r\n"
        b"NewFangledHeader:   newfangled value\r\n continued newfangled value\r\n"
        b"UnknownHeaderWithUnusualValue: ;;,,;;,;\r\n"
        b"Route:\r\n <sip:services.example.com;lr;unknownwith=value;unknown-no-value>\r\n"
        b"v:  SIP  / 2.0  / TCP     spindle.example.com   ;\r\n  branch  =   z9hG4bK9ikj8  ,\r\n"
        b" SIP  /    2.0   / UDP  192.168.255.111   ; branch=\r\n z9hG4bK30239\r\n"
        b'm:"Quoted string \\"\\"" <sip:jdrosen@example.com> ; newparam =\r\n      newvalue ;\r\n'
        b"  secondparam ; q = 0.33\r\n\r\n"
    )
    assert (request.to.tag, request.from_.tag, request.from_.display) == ("1918181833n", "98asjd8", 'J Rosenberg \\"')
    assert (request.max_forwards, request.cseq) == (68, (9, "INVITE"))
    assert (request.via.host, request.via.branch) == ("192.0.2.2", "390skdjuw")
    assert len(request.headers.all("Via")) == 3
    assert request.headers.get("UnknownHeaderWithUnusualValue") == ";;,,;;,;"
    assert dict(request.contacts[0].params) == {"newparam": "newvalue", "secondparam": None, "q": "0.33"}
    assert bytes(read(bytes(request))) == bytes(request)


def test_intmeth_every_character_a_method_may_have() -> None:
    method = "!interesting-Method0123456789_*+`.%indeed'~"
    user = "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)"
    data = options("intmeth", f"sip:{user}@example.com").replace(b"OPTIONS", method.encode())
    request = read(data)
    assert (request.method, request.cseq) == (method, (1, method))
    assert str(request.uri) == f"sip:{user}@example.com"


def test_esc01_and_escnull_keep_their_escapes() -> None:
    request = read(options("esc", "sip:sips%3Auser%40example.com@example.net", "Contact: <sip:null-%00-null@h>"))
    assert request.uri.user == "sips:user@example.com"
    assert str(request.contacts[0].uri) == "sip:null-%00-null@h"


def test_esc02_percent_signs_that_escape_nothing() -> None:
    request = read(options("esc02").replace(b"OPTIONS", b"RE%47IST%45R"))
    assert request.method == "RE%47IST%45R"


def test_lwsdisp_no_space_before_the_bracket() -> None:
    assert (
        read(options("lwsdisp").replace(b"From: sip:caller@example.net;", b"From: caller<sip:c@d>;")).from_.tag == "1"
    )


def test_longreq_long_everything() -> None:
    name, value = "longparam" + "name" * 25, "very" + "long" * 20
    data = options("longreq", f"sip:user@example.com;{name}={value}", f"Unknown-{'Long' * 20}-Name: {value}")
    assert read(data).uri.params[name] == value


def test_dblreq_what_follows_in_the_datagram_is_not_looked_at() -> None:
    assert read(options("dblreq") + options("second")).call_id == "dblreq"
    assert read(options("dblreq") + options("second")).body == b""


def test_semiuri_semicolons_and_escapes_in_the_user() -> None:
    assert read(options("semiuri", "sip:user;par=u%40example.net@example.com")).uri.user == "user;par=u@example.net"


def test_transports_that_nobody_knows() -> None:
    extra = [f"Via: SIP/2.0/{name} t.example.com;branch=z9hG4bK{name}" for name in ("SCTP", "TLS", "UNKNOWN", "TCP")]
    assert len(read(options("transports", "sip:user@example.com", *extra)).headers.all("Via")) == 5


def test_unreason_and_noreason() -> None:
    for reason in ("= 2**3 * 5**2 но сто девяносто девять - простое", ""):
        data = options("unreason").replace(b"OPTIONS sip:user@example.com SIP/2.0", f"SIP/2.0 200 {reason}".encode())
        response = parse(data)
        assert bytes(response).startswith(f"SIP/2.0 200 {reason}\r\n".encode())


def test_badinv_separators_without_values() -> None:
    assert refused(options("badinv", "sip:a@b", 'Contact: "Joe" <sip:joe@example.org>;;;;, <sip')).header == "Contact"
    assert refused(options("badinv").replace(b"192.0.2.1;branch", b"192.0.2.1;;,;,,;branch")).header == "Via"


def test_clerr_and_ncl_lengths() -> None:
    assert refused(options("clerr").replace(b"l: 0", b"l: 9999")).header == "Content-Length"
    assert refused(options("ncl").replace(b"l: 0", b"l: -999")).header == "Content-Length"


def test_scalar02_and_scalarlg_numbers_out_of_range() -> None:
    assert refused(options("scalar").replace(b"CSeq: 1", b"CSeq: 36893488147419103232")).header == "CSeq"
    assert refused(options("scalar").replace(b"rds: 70", b"rds: 300")).header == "Max-Forwards"


def test_quotbal_and_baddn() -> None:
    assert (
        refused(options("quotbal").replace(b"To: sip:user@example.com", b'To: "Mr. J. User <sip:j@h>')).header == "To"
    )
    assert refused(options("baddn").replace(b"To: sip:user@example.com", b'To: "a" b <sip:j@h>')).header == "To"


def test_ltgtruri_lwsruri_lwsstart() -> None:
    assert refused(options("ltgtruri", "<sip:user@example.com>")).header == "Request-URI"
    assert refused(options("lwsruri", "sip:user@example.com; lr")).header == "start line"
    assert refused(options("lwsstart").replace(b"OPTIONS ", b"OPTIONS  ", 1)).header == "start line"


def test_regbadct_a_contact_with_headers_needs_brackets() -> None:
    uri = "sip:user@example.com?Route=%3Csip:sip.example.com%3E"
    assert refused(options("regbadct", "sip:a@b", f"Contact: {uri}")).header == "Contact"
    assert str(read(options("regescrt", "sip:a@b", f"M: <{uri}>")).contacts[0].uri) == uri


def test_badvers_bigcode_mismatch() -> None:
    assert refused(options("badvers").replace(b"SIP/2.0\r\nTo", b"SIP/7.0\r\nTo")).sip_status == 505
    status = options("bigcode").replace(b"OPTIONS sip:user@example.com SIP/2.0", b"SIP/2.0 4294967301 better")
    assert refused(status).header == "start line"
    assert refused(options("mismatch").replace(b"CSeq: 1 OPTIONS", b"CSeq: 1 INVITE")).header == "CSeq"


def test_insuf_multi01_mcl01() -> None:
    assert refused(options("insuf").replace(b"Call-ID: insuf\r\n", b"")).header == "Call-ID"
    assert refused(options("multi01", "sip:a@b", "i: another")).header == "Call-ID"
    assert refused(options("mcl01", "sip:a@b", "Content-Length: 15")).header == "Content-Length"


def test_cparam_parameters_outside_and_inside_the_brackets() -> None:
    outside = read(options("cparam01", "sip:a@b", "Contact: sip:+19725552222@gw1.example.net;unknownparam")).contacts[0]
    inside = read(options("cparam02", "sip:a@b", "Contact: <sip:+19725552222@gw1.example.net;unknownparam>")).contacts[
        0
    ]
    assert "unknownparam" in outside.params
    assert "unknownparam" not in outside.uri.params
    assert "unknownparam" in inside.uri.params
    assert "unknownparam" not in inside.params


@pytest.mark.parametrize(
    ("host", "good"),
    [
        ("[2001:db8::10]", True),
        ("[2001:db8::10]:5070", True),
        ("[2001:db8::10:5070]", True),  # ambiguous to people, not to the grammar
        ("[::ffff:192.0.2.1]", True),
        ("2001:db8::10", False),
        ("[2001:db8::10", False),
    ],
)
def test_rfc_5118_addresses(host: str, good: bool) -> None:
    data = options("ipv6", f"sip:user@{host}").replace(b"UDP 192.0.2.1", f"UDP {host}".encode())
    if good:
        assert bytes(read(bytes(read(data)))) == bytes(read(data))
    else:
        assert refused(data).header in ("Request-URI", "Via")


@pytest.mark.parametrize("received", ["[2001:db8::9:255]", "2001:db8::9:255"])
def test_rfc_5118_received_with_and_without_brackets(received: str) -> None:
    data = options("via-received").replace(b"192.0.2.1;branch", f"[2001:db8::9];received={received};branch".encode())
    assert read(data).via.params["received"] == received
