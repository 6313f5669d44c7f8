"""Matching, CANCEL, the accept hook, stateless answers, limits."""

import pytest
from sip_bench import PHONE, Bench, only, our_request, read, request_bytes

from sivo.sip import Peer, Response, ServerTransaction
from sivo.sip.transactions import Dropped, Incoming, IncomingCancel, Send


def open_invite(bench: Bench, **fields: str) -> ServerTransaction:
    incoming = only(bench.receive(request_bytes(**fields)), Incoming)  # type: ignore[arg-type]
    assert isinstance(incoming, Incoming)
    return incoming.txn


def dropped(outputs: list[object]) -> str:
    assert [type(output) for output in outputs] == [Dropped]
    assert isinstance(outputs[0], Dropped)
    return outputs[0].reason


def test_strangers_get_no_reply_and_leave_no_state() -> None:
    bench = Bench()
    bench.refuse.add(PHONE.host)
    for method in ("INVITE", "REGISTER", "OPTIONS", "BYE", "CANCEL"):
        assert dropped(list(bench.receive(request_bytes(method)))) == "refused"
    assert dropped(list(bench.receive(request_bytes("ACK")))) == "stray-ack"
    assert dropped(list(bench.receive(request_bytes(cseq_method="BYE")))) == "refused"
    assert dropped(list(bench.receive(request_bytes().replace(b"Via: SIP", b"Via: SAP")))) == "malformed"
    assert bench.layer.active == {"server": 0, "client": 0, "answered": 0}
    assert bench.layer.next_timer() is None


def test_the_hook_is_asked_once_a_request_not_for_repetitions() -> None:
    bench = Bench()
    open_invite(bench)
    bench.receive(request_bytes())
    bench.receive(request_bytes("CANCEL"))
    assert [request.method for request in bench.asked] == ["INVITE"]


def test_a_bad_request_of_a_friend_gets_400_with_the_header_named() -> None:
    bench = Bench()
    out = bench.receive(request_bytes(cseq_method="BYE"))
    response = read(only(out, Send))
    assert response.start_line == "SIP/2.0 400 Bad CSeq"
    assert response.to.tag
    assert bench.layer.active["server"] == 0


def test_other_schemes_get_416() -> None:
    bench = Bench()
    out = bench.receive(request_bytes("OPTIONS", uri="nobodyKnowsThisScheme:totallyopaquecontent"))
    assert read(only(out, Send)).start_line == "SIP/2.0 416 Unsupported URI Scheme"


@pytest.mark.parametrize("data", [b"\r\n\r\n", b"", b"\0\0\0\0", b"\r\n"])
def test_keepalives_are_ignored(data: bytes) -> None:
    assert dropped(list(Bench().receive(data))) == "keepalive"


def test_the_same_branch_of_another_sender_is_another_transaction() -> None:
    bench = Bench()
    open_invite(bench)
    other = request_bytes(call_id="other").replace(b"192.0.2.10:5062;branch", b"192.0.2.11:5062;branch")
    assert isinstance(only(bench.receive(other, Peer("192.0.2.11", 5062)), Incoming), Incoming)


def test_the_same_branch_with_another_method_is_another_transaction() -> None:
    bench = Bench()
    open_invite(bench)
    assert isinstance(only(bench.receive(request_bytes("OPTIONS", cseq=2)), Incoming), Incoming)


def test_peers_of_rfc_2543_are_matched_without_the_cookie() -> None:
    bench = Bench()
    txn = open_invite(bench, branch="1")
    assert bench.receive(request_bytes(branch="1")) == []
    bench.respond(txn, txn.response(486))
    bench.receive(request_bytes("ACK", branch="1", to_tag=txn.to_tag))
    bench.run_to(3)
    assert bench.sent("486") == [0.0]


def test_cancel_is_answered_and_reported_once() -> None:
    bench = Bench()
    txn = open_invite(bench)
    out = bench.receive(request_bytes("CANCEL"))
    ok = read(only(out, Send))
    assert isinstance(ok, Response)
    assert (ok.status, ok.cseq, ok.to.tag) == (200, (1, "CANCEL"), txn.to_tag)
    assert isinstance(only(out, IncomingCancel), IncomingCancel)
    assert txn.cancelled
    again = bench.receive(request_bytes("CANCEL"))
    assert [type(item) for item in again] == [Send]
    bench.respond(txn, txn.response(487))
    assert bench.sent("487") == [0.0]


def test_cancel_after_the_200_is_answered_but_changes_nothing() -> None:
    bench = Bench()
    txn = open_invite(bench)
    bench.respond(txn, txn.response(200))
    out = bench.receive(request_bytes("CANCEL"))
    assert [type(item) for item in out] == [Send]
    assert read(out[0]).start_line == "SIP/2.0 200 OK"
    assert not txn.cancelled


def test_cancel_of_nothing_gets_481_without_state() -> None:
    bench = Bench()
    out = bench.receive(request_bytes("CANCEL"))
    assert read(only(out, Send)).start_line.startswith("SIP/2.0 481")
    assert bench.layer.active["server"] == 0


def test_nobody_else_can_cancel_a_call() -> None:
    bench = Bench()
    txn = open_invite(bench)
    out = bench.receive(request_bytes("CANCEL"), Peer("203.0.113.66", 5062))
    assert read(only(out, Send)).start_line.startswith("SIP/2.0 481")
    assert not txn.cancelled


def test_a_request_that_came_two_ways_is_refused_once_with_482() -> None:
    bench = Bench()
    open_invite(bench)
    out = bench.receive(request_bytes(branch="z9hG4bKsecondpath"))
    assert read(only(out, Send)).start_line == "SIP/2.0 482 Loop Detected"


def test_a_phone_that_answers_a_challenge_without_a_new_cseq_is_heard() -> None:
    bench = Bench()
    txn = open_invite(bench)
    bench.respond(txn, txn.response(401))
    assert isinstance(only(bench.receive(request_bytes(branch="z9hG4bKagain")), Incoming), Incoming)


def test_above_the_limit_requests_get_503_without_state() -> None:
    bench = Bench(max_transactions=2)
    for number in range(2):
        open_invite(bench, branch=f"z9hG4bK{number}", call_id=f"c{number}")
    out = bench.receive(request_bytes(branch="z9hG4bK9", call_id="c9"))
    response = read(only(out, Send))
    assert response.start_line == "SIP/2.0 503 Service Unavailable"
    assert response.headers.get("Retry-After") == "5"
    assert bench.layer.active["server"] == 2


def test_rport_reaches_a_phone_behind_nat() -> None:
    bench = Bench()
    nat = Peer("198.51.100.1", 61000)
    data = request_bytes(branch="z9hG4bKphone;rport")
    incoming = only(bench.receive(data, nat), Incoming)
    assert isinstance(incoming, Incoming)
    send = only(bench.respond(incoming.txn, incoming.txn.response(180)), Send)
    assert isinstance(send, Send)
    assert send.destination == nat
    assert "rport=61000;received=198.51.100.1" in str(read(send).via)


def test_only_invites_are_cancelled_and_ack_has_no_transaction() -> None:
    bench = Bench()
    txn, _ = bench.layer.request(our_request("OPTIONS"), PHONE, 0.0)
    with pytest.raises(ValueError, match="INVITE"):
        bench.layer.cancel(txn, 0.0)
    with pytest.raises(ValueError, match="transaction"):
        bench.layer.request(our_request("ACK"), PHONE, 0.0)


def test_ten_thousand_calls_leave_nothing_behind() -> None:
    bench = Bench(max_transactions=20_000)
    for number in range(10_000):
        txn = open_invite(bench, branch=f"z9hG4bK{number}", call_id=f"c{number}")
        bench.respond(txn, txn.response(200 if number % 2 else 486))
        bench.log.clear()
    bench.run_to(100)
    assert bench.layer.active == {"server": 0, "client": 0, "answered": 0}
    assert bench.layer.next_timer() is None
    assert not bench.layer._merged
    assert not bench.layer._answered
