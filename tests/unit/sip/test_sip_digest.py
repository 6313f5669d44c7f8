"""Digest (RFC 7616, 8760, 2617): known values, both sides, nonces, replays, bounded memory."""

import pytest
from sip_bench import answer_bytes, our_request

from sivo.sip import (
    Challenge,
    Credentials,
    DigestClient,
    DigestServer,
    Request,
    Response,
    SipParseError,
    Uri,
    Verdict,
    ha1,
    parse,
)
from sivo.sip.digest import ALGORITHMS, digest_response
from sivo.sip.message import response_to

REALM = "t1.example"
SECRET = b"0123456789abcdef"


def account(username: str, algorithm: str) -> str | None:
    return ha1(username, REALM, "Circle Of Life", algorithm) if username == "100" else None


def register() -> Request:
    request = our_request("REGISTER")
    request.headers.prepend("Via", "SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK1")
    return request


def challenged(
    server: DigestServer, request: Request, now: float = 0.0, status: int = 401, **options: bool
) -> Response:
    response = response_to(request, status, to_tag="x")
    return server.challenge(response, REALM, now, **options)


def attempt(server: DigestServer, password: str = "Circle Of Life", username: str = "100", now: float = 0.0) -> Request:
    request = register()
    again = DigestClient(username, password).authorise(request, challenged(server, request, now))
    assert again is not None
    return again


def verify(server: DigestServer, request: Request, now: float = 0.0) -> Verdict:
    return server.verify(request, REALM, account, now)


# RFC 7616 §3.9.1
@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_examples_of_the_rfc(algorithm: str, response: str) -> None:
    key = ha1("Mufasa", "http-auth@example.org", "Circle of Life", algorithm)
    value = digest_response(
        key, "GET", "/dir/index.html", "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", "00000001",
        "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", algorithm,
    )  # fmt: skip
    assert value == response


def test_the_example_of_rfc_2617() -> None:
    key = ha1("Mufasa", "testrealm@host.com", "Circle Of Life")
    nonce = "dcd98b7102dd2f0e8b11d0f600bfb0c093"
    assert digest_response(key, "GET", "/dir/index.html", nonce, "00000001", "0a4f113b", "MD5") == (
        "6629fae49393a05397450978507c4ef1"
    )


@pytest.mark.parametrize("algorithm", list(ALGORITHMS))
@pytest.mark.parametrize("proxy", [False, True])
def test_client_and_server_agree(algorithm: str, proxy: bool) -> None:
    server = DigestServer(SECRET, [algorithm], [algorithm])
    request = register()
    asked = challenged(server, request, 5.0, 407 if proxy else 401, proxy=proxy)
    again = DigestClient("100", "Circle Of Life").authorise(request, asked)
    assert again is not None
    assert again.cseq == (2, "REGISTER")
    assert "Via" not in again.headers
    assert server.verify(again, REALM, account, 6.0, proxy=proxy) == Verdict(True, "100", False, "ok")


def test_the_offer_is_md5_alone_unless_told_otherwise() -> None:
    server = DigestServer(SECRET)
    for offer in (None, ["SHA-256", "MD5"]):
        response = server.challenge(response_to(register(), 401), REALM, 0.0, offer=offer)
        values = response.headers.all("WWW-Authenticate")
        assert [Challenge.parse(value).algorithm for value in values] == (offer or ["MD5"])


def test_the_first_algorithm_that_is_known_is_answered() -> None:
    server = DigestServer(SECRET, offer=("SHA-256", "MD5"))
    request = register()
    values = challenged(server, request).headers.all("WWW-Authenticate")
    assert [Challenge.parse(value).algorithm for value in values] == ["SHA-256", "MD5"]
    again = DigestClient("100", "x").authorise(request, challenged(server, request))
    assert again is not None
    assert Credentials.parse(again.headers.get("Authorization") or "").algorithm == "SHA-256"


def test_without_credentials() -> None:
    assert verify(DigestServer(SECRET), register()) == Verdict(False, None, False, "missing")


@pytest.mark.parametrize(("username", "password"), [("100", "wrong"), ("999", "Circle Of Life")])
def test_guesses(username: str, password: str) -> None:
    server = DigestServer(SECRET)
    assert verify(server, attempt(server, password, username)) == Verdict(False, username, False, "wrong")


def test_credentials_of_another_realm_are_not_ours() -> None:
    server = DigestServer(SECRET)
    again = attempt(server)
    assert server.verify(again, "t2.example", account, 0.0).reason == "missing"


def test_the_realm_is_part_of_the_nonce() -> None:
    server = DigestServer(SECRET)
    nonce = server.nonce("t2.example", 0.0)
    value = DigestClient("100", "Circle Of Life").credentials(Challenge(REALM, nonce), "REGISTER", str(register().uri))
    request = register()
    request.headers.set("Authorization", str(value))
    assert verify(server, request).reason == "stale"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("qop=auth", "qop=auth-int", "malformed"),
        ("nc=00000001", "nc=1", "malformed"),
        ("nc=00000001", "nc=00000000", "malformed"),
        ("nc=00000001", "nc=00000002", "wrong"),
        ("algorithm=SHA-256", "algorithm=MD5", "wrong"),
        ("algorithm=SHA-256", "algorithm=SHA-1", "algorithm"),
        ('uri="sip:200@', 'uri="sip:201@', "uri"),
        ('uri="sip:', 'uri="', "uri"),
        ("Digest", "Basic", "malformed"),
        ("username", "user", "malformed"),
    ],
)
def test_tampered_credentials(old: str, new: str, reason: str) -> None:
    server = DigestServer(SECRET, offer=("SHA-256", "MD5"))
    again = attempt(server)
    value = again.headers.get("Authorization") or ""
    assert old in value
    again.headers.set("Authorization", value.replace(old, new))
    verdict = verify(server, again)
    assert (verdict.ok, verdict.reason) == (False, reason)


def test_what_was_signed_for_one_user_does_not_reach_another() -> None:
    server = DigestServer(SECRET)
    again = attempt(server)
    again.uri = Uri.parse("sip:+900123@192.0.2.10:5062")
    assert verify(server, again).reason == "uri"


def test_a_proxy_may_rewrite_the_host_and_sipp_signs_an_address_only() -> None:
    server = DigestServer(SECRET)
    again = attempt(server)
    again.uri = Uri.parse("sip:200@t1.example;transport=udp")
    assert verify(server, again).ok
    client = DigestClient("100", "Circle Of Life")
    value = client.credentials(Challenge(REALM, server.nonce(REALM, 0.0)), "REGISTER", "sip:127.0.0.1:5060")
    again.headers.set("Authorization", str(value))
    assert verify(server, again).ok


def test_the_method_is_part_of_the_digest() -> None:
    server = DigestServer(SECRET)
    again = attempt(server)
    again.method = "INVITE"
    assert verify(server, again).reason == "wrong"


def test_nonces_expire_as_stale_and_a_fresh_one_is_accepted() -> None:
    server = DigestServer(SECRET, nonce_ttl=300)
    request = register()
    client = DigestClient("100", "Circle Of Life")
    first = client.authorise(request, challenged(server, request, 0.0))
    assert first is not None
    assert verify(server, first, 300.1) == Verdict(False, "100", True, "stale")
    second = client.authorise(first, challenged(server, first, 300.1, stale=True))
    assert second is not None
    assert len(second.headers.all("Authorization")) == 1
    assert verify(server, second, 300.2).ok


def test_a_client_gives_up_when_its_password_is_refused() -> None:
    server = DigestServer(SECRET)
    first = attempt(server, "wrong")
    assert DigestClient("100", "wrong").authorise(first, challenged(server, first)) is None


def test_nonces_of_another_secret_or_the_future_are_stale() -> None:
    again = attempt(DigestServer(b"another secret of 16"))
    assert verify(DigestServer(SECRET), again).reason == "stale"
    server = DigestServer(SECRET)
    assert verify(server, attempt(server, now=100.0), 0.0).reason == "stale"


def test_nonces_are_accepted_by_every_process_with_the_secret() -> None:
    assert verify(DigestServer(SECRET), attempt(DigestServer(SECRET))).ok


def with_count(server: DigestServer, nonce: str, count: int) -> Request:
    request = register()
    uri, nc, key = str(request.uri), f"{count:08x}", account("100", "MD5")
    assert key is not None
    value = digest_response(key, "REGISTER", uri, nonce, nc, "c", "MD5")
    request.headers.set("Authorization", str(Credentials("100", REALM, nonce, uri, value, "MD5", "c", nc, "auth")))
    return request


def test_replays_are_refused_and_datagrams_may_overtake_each_other() -> None:
    server = DigestServer(SECRET)
    nonce = server.nonce(REALM, 0.0)
    counts = [1, 1, 5, 3, 3, 5, 4, 2, 70, 6, 8, 8, 200, 70, 137, 136, 500, 500]
    got = [verify(server, with_count(server, nonce, count)).reason for count in counts]
    assert got == [
        "ok", "replay", "ok", "ok", "replay", "replay", "ok", "ok", "ok", "replay", "ok", "replay", "ok", "replay",
        "ok", "replay", "ok", "replay",
    ]  # fmt: skip


def test_the_memory_is_bounded_and_what_is_forgotten_is_stale_not_reusable() -> None:
    server = DigestServer(SECRET, memory=10)
    nonces = [server.nonce(REALM, float(at)) for at in range(30)]
    for nonce in nonces:
        assert verify(server, with_count(server, nonce, 1), 30.0).ok
    assert len(server._counts) == 10
    verdicts = [verify(server, with_count(server, nonce, 1), 30.0) for nonce in nonces]
    assert [verdict.reason for verdict in verdicts] == ["stale"] * 20 + ["replay"] * 10
    assert all(verdict.stale for verdict in verdicts)


def test_guesses_leave_nothing_in_memory() -> None:
    server = DigestServer(SECRET)
    for _ in range(100):
        verify(server, attempt(server, "wrong"))
    assert not server._counts


def test_a_nonce_has_one_spelling() -> None:
    server = DigestServer(SECRET)
    nonce = server.nonce(REALM, 0.0)
    assert verify(server, with_count(server, nonce[:5] + "!" + nonce[5:], 1)).reason == "stale"


def test_headers_round_trip() -> None:
    challenge = Challenge('a "b"', "n", "SHA-256", "o", True)
    assert Challenge.parse(str(challenge)) == challenge
    credentials = Credentials("u", "r", "n", "sip:a@b", "0f", "MD5", "c", "00000001", "auth", "o")
    assert Credentials.parse(str(credentials)) == credentials
    assert "0f" not in repr(credentials)
    with pytest.raises(SipParseError):
        Challenge.parse("Basic realm=x")


def test_a_carrier_without_qop_is_answered_in_the_old_form() -> None:
    request = register()
    asked = parse(answer_bytes(request, 401, extra=['WWW-Authenticate: Digest realm="r", nonce="n", algorithm=MD5']))
    assert isinstance(asked, Response)
    again = DigestClient("u", "p").authorise(request, asked)
    assert again is not None
    credentials = Credentials.parse(again.headers.get("Authorization") or "")
    assert credentials.qop == ""
    key = ha1("u", "r", "p")
    assert credentials.response == digest_response(key, "REGISTER", str(request.uri), "n", "", "", "MD5", "")


def test_a_short_secret_or_an_unknown_algorithm_is_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        DigestServer(b"short")
    with pytest.raises(ValueError, match="unknown"):
        DigestServer(SECRET, ["ROT13"])
    with pytest.raises(ValueError, match="not accepted"):
        DigestServer(SECRET, ["MD5"], ["SHA-256"])
