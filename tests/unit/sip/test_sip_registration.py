"""Our registration at a carrier, on a virtual clock."""

from sivo.sip import Response
from sivo.sip.message import Request, response_to
from sivo.sip.registration import Account, Registration, RegistrationState

ACCOUNT = Account("carrier.example", "acme", "secret-word", 5080)
CONTACT = "<sip:acme@192.0.2.1:5060>"
CHALLENGE = 'Digest realm="carrier", nonce="n1", algorithm=MD5, qop="auth"'


def answer(request: Request, status: int, *headers: tuple[str, str]) -> Response:
    made = response_to(request, status, to_tag="c")
    for name, value in headers:
        made.headers.add(name, value)
    return made


def registered(expires: str = "600") -> Registration:
    one = Registration(ACCOUNT, CONTACT, 0.0)
    assert (
        one.answered(one.request(), answer(one.request(), 200, ("Contact", f"{CONTACT};expires={expires}")), 0) is None
    )
    return one


def test_the_first_request_and_the_challenge() -> None:
    one = Registration(ACCOUNT, CONTACT, 5.0)
    assert (one.due, one.state) == (5.0, RegistrationState.TRYING)
    first = one.request()
    assert first.start_line == "REGISTER sip:carrier.example:5080 SIP/2.0"
    assert (str(first.to), first.headers.get("Contact")) == ("<sip:acme@carrier.example>", CONTACT)
    assert first.headers.get("Expires") == "600"
    assert one.due == float("inf")  # not again before this one is answered
    second = one.answered(first, answer(first, 401, ("WWW-Authenticate", CHALLENGE)), 5.0)
    assert second is not None
    assert 'username="acme"' in (second.headers.get("Authorization") or "")
    assert (second.call_id, second.cseq[0]) == (first.call_id, first.cseq[0] + 1)
    assert one.answered(second, answer(second, 200, ("Expires", "300")), 5.0) is None
    assert (one.state, one.until, one.due) == (RegistrationState.REGISTERED, 305.0, 245.0)
    third = one.request()
    assert (third.call_id, third.cseq[0]) == (first.call_id, second.cseq[0] + 1)
    assert "secret-word" not in repr(one.account)


def test_a_wrong_password_is_refused_and_tried_again_later_and_later() -> None:
    one = Registration(ACCOUNT, CONTACT, 0.0)
    now, waits = 0.0, []
    for _ in range(7):
        first = one.request()
        second = one.answered(first, answer(first, 401, ("WWW-Authenticate", CHALLENGE)), now)
        assert second is not None
        assert one.answered(second, answer(second, 401, ("WWW-Authenticate", CHALLENGE)), now) is None
        assert (one.state, one.reason) == (RegistrationState.REFUSED, "401 Unauthorized")
        waits.append(one.due - now)
        now = one.due
    assert waits == [10, 20, 40, 80, 160, 300, 300]


def test_a_carrier_that_is_away_for_a_moment_does_not_end_what_it_gave() -> None:
    one = registered()
    assert one.due == 480.0
    assert one.answered(one.request(), None, 512.0) is None
    assert (one.state, one.reason, one.due) == (RegistrationState.REGISTERED, "no answer", 522.0)
    assert one.answered(one.request(), None, 601.0) is None
    assert (one.state, one.until) == (RegistrationState.TRYING, None)


def test_a_carrier_that_wants_longer_gets_longer() -> None:
    one = Registration(ACCOUNT, CONTACT, 0.0)
    again = one.answered(one.request(), answer(one.request(), 423, ("Min-Expires", "1800")), 0.0)
    assert again is not None
    assert again.headers.get("Expires") == "1800"
    assert one.answered(again, answer(again, 423, ("Min-Expires", "3600")), 0.0) is None  # not for ever
    assert one.state is RegistrationState.REFUSED


def test_nonsense_from_a_carrier_is_bounded() -> None:
    for expires in ("0", "-5", "x", "", "99999999999999"):
        one = registered(expires)
        assert one.due >= 5.0
        assert one.until is not None
        assert one.until <= 86_400
    assert registered().request(end=True).headers.get("Expires") == "0"
