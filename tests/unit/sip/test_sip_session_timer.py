"""RFC 4028: terms on both sides, and what is too small."""

import pytest
from sip_bench import our_request, request_bytes

from sivo.sip import Request, Response, SipParseError, parse
from sivo.sip import session_timer as st


def invite(*extra: str) -> Request:
    found = parse(request_bytes("INVITE", extra=extra))
    assert isinstance(found, Request)
    return found


@pytest.mark.parametrize(
    ("extra", "interval", "ours"),
    [
        ((), 1800, True),  # a phone without timers: we refresh
        (("Supported: timer", "Session-Expires: 600"), 600, False),
        (("Supported: timer", "x: 600;refresher=uas"), 600, True),
        (("Supported: timer", "x: 600;refresher=uac"), 600, False),
        (("Supported: timer", "x: 7200"), 1800, False),
        (("Session-Expires: 600",), 600, True),  # asked by a proxy between: the phone itself cannot
        (("Supported: timer", "x: 3600", "Min-SE: 2000"), 2000, False),
        (("Supported: timer", "Min-SE: 2000"), 2000, True),
    ],
)
def test_what_we_agree_to(extra: tuple[str, ...], interval: int, ours: bool) -> None:
    terms = st.as_server(invite(*extra))
    assert terms == st.SessionTerms(interval, ours)
    headers = dict(st.server_headers(terms))
    assert headers["Session-Expires"] == f"{interval};refresher={'uas' if ours else 'uac'}"
    assert ("Require" in headers) is not ours


@pytest.mark.parametrize("seconds", [0, 1, 89])
def test_less_than_90_seconds_is_422(seconds: int) -> None:
    with pytest.raises(SipParseError) as caught:
        st.as_server(invite("Supported: timer", f"Session-Expires: {seconds}"))
    assert caught.value.sip_status == 422


@pytest.mark.parametrize("text", ["", "x", "-1", "99999999999999999999", "90;refresher=é"])
def test_nonsense_is_refused_or_read_but_never_breaks(text: str) -> None:
    try:
        st.as_server(invite("Supported: timer", f"Session-Expires: {text}"))
    except SipParseError as error:
        assert error.sip_status in (400, 422)


def test_the_client_side() -> None:
    request = our_request()
    for name, value in st.client_headers():
        request.headers.add(name, value)
    assert (request.headers.get("Session-Expires"), request.headers.get("Min-SE")) == ("1800", "90")
    assert st.as_client(Response(200)) is None
    for refresher, ours in (("", True), (";refresher=uac", True), (";refresher=uas", False)):
        assert st.as_client(Response(200, headers=[("x", f"900{refresher}")])) == st.SessionTerms(900, ours)
    assert st.as_client(Response(200, headers=[("x", "what")])) is None
    assert st.least_of(Response(422, headers=[("Min-SE", "3600")])) == 3600
    assert st.least_of(Response(422)) == 90


def test_when_it_is_due() -> None:
    assert (st.SessionTerms(1800, True).refresh_after, st.SessionTerms(1800, True).dead_after) == (900, 1768)
    assert st.SessionTerms(90, False).dead_after == 60
