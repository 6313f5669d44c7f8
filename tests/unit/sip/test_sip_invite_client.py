"""INVITE client transaction: states, timers A, B, D, M, the ACK of refusals and of 2xx, CANCEL."""

from sip_bench import PHONE, Bench, answer_bytes, only, our_request, read

from sivo.sip import ClientTransaction, Dialog, Peer, Request, Response, State, parse
from sivo.sip.transactions import Answer, Dropped, Send, Timeout


def start(bench: Bench, destination: Peer = PHONE) -> ClientTransaction:
    txn, outputs = bench.layer.request(our_request(), destination, bench.now)
    bench.note(outputs)
    return txn


def answer(bench: Bench, txn: ClientTransaction, status: int, to_tag: str = "callee") -> list[object]:
    return list(bench.receive(answer_bytes(txn.request, status, to_tag)))


def acknowledge(bench: Bench, txn: ClientTransaction, status: int = 200, to_tag: str = "callee") -> Request:
    response = parse(answer_bytes(txn.request, status, to_tag))
    assert isinstance(response, Response)
    dialog = Dialog.uac(txn.request, response)
    sent = bench.note(bench.layer.acknowledge(txn, dialog.ack(response), dialog.destination))
    message = read(only(sent, Send))
    assert isinstance(message, Request)
    return message


def test_timer_a_doubles_without_limit_and_timer_b_ends_it() -> None:
    bench = Bench()
    txn = start(bench)
    assert txn.state is State.CALLING
    bench.run_to(100)
    assert bench.sent("INVITE") == [0.0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert bench.times(Timeout) == [32.0]
    assert txn.state is State.TERMINATED
    assert bench.layer.active == {"server": 0, "client": 0, "answered": 0}
    assert bench.layer.next_timer() is None


def test_a_provisional_answer_stops_both() -> None:
    bench = Bench()
    txn = start(bench)
    bench.run_to(0.7)
    assert isinstance(only(bench.receive(answer_bytes(txn.request, 180)), Answer), Answer)
    assert txn.state is State.PROCEEDING
    bench.run_to(500)
    assert bench.sent("INVITE") == [0.0, 0.5]
    assert bench.times(Timeout) == []


def test_a_refusal_is_acknowledged_by_the_machine_on_the_same_branch() -> None:
    bench = Bench()
    txn = start(bench)
    out = bench.receive(answer_bytes(txn.request, 486, extra=["Record-Route: <sip:p;lr>"]))
    ack = read(only(out, Send))
    assert isinstance(ack, Request)
    assert ack.method == "ACK"
    assert ack.via == txn.request.via
    assert len(ack.headers.all("Via")) == 1
    assert (ack.call_id, ack.cseq[0], ack.from_) == (txn.request.call_id, 1, txn.request.from_)
    assert (ack.to.tag, ack.uri) == ("callee", txn.request.uri)
    assert isinstance(only(out, Answer), Answer)
    assert txn.state is State.COMPLETED


def test_timer_d_keeps_acknowledging_for_64_t1() -> None:
    bench = Bench()
    txn = start(bench)
    answer(bench, txn, 503)
    bench.run_to(31.999)
    assert [type(item) for item in answer(bench, txn, 503)] == [Send]
    assert len(bench.times(Answer)) == 1
    bench.run_to(32.0)
    assert txn.state is State.TERMINATED
    assert [type(item) for item in answer(bench, txn, 503)] == [Dropped]


def test_a_2xx_is_passed_on_once_and_its_ack_repeated() -> None:
    bench = Bench()
    txn = start(bench)
    assert [type(item) for item in answer(bench, txn, 200)] == [Answer]
    assert txn.state is State.ACCEPTED
    assert answer(bench, txn, 200) == []  # the user has not acknowledged it yet
    ack = acknowledge(bench, txn)
    assert ack.cseq == (1, "ACK")
    assert ack.via.branch != txn.request.via.branch
    again = answer(bench, txn, 200)
    assert [type(item) for item in again] == [Send]
    assert read(again[0]).via == ack.via


def test_forks_each_bring_their_own_2xx() -> None:
    bench = Bench()
    txn = start(bench)
    answer(bench, txn, 200, "one")
    acknowledge(bench, txn, to_tag="one")
    assert [type(item) for item in answer(bench, txn, 200, "two")] == [Answer]
    acknowledge(bench, txn, to_tag="two")
    again = answer(bench, txn, 200, "one")
    assert read(again[0]).to.tag == "one"


def test_timer_m_ends_the_accepted_state() -> None:
    bench = Bench()
    txn = start(bench)
    answer(bench, txn, 200)
    bench.run_to(31.999)
    assert [type(item) for item in answer(bench, txn, 200, "late fork")] == [Answer]
    bench.run_to(32.0)
    assert txn.state is State.TERMINATED
    assert bench.times(Timeout) == []


def test_the_ack_of_a_2xx_carries_the_credentials_of_its_invite() -> None:
    bench = Bench()
    invite = our_request()
    invite.headers.add("Authorization", 'Digest username="x"')
    txn, _ = bench.layer.request(invite, PHONE, 0.0)
    answer(bench, txn, 200)
    assert acknowledge(bench, txn).headers.get("Authorization") == 'Digest username="x"'


def test_cancel_waits_for_the_first_provisional_answer() -> None:
    bench = Bench()
    txn = start(bench)
    assert bench.note(bench.layer.cancel(txn, 0.0)) == []
    bench.run_to(0.3)
    out = bench.receive(answer_bytes(txn.request, 100))
    cancel = read(only(out, Send))
    assert isinstance(cancel, Request)
    assert cancel.method == "CANCEL"
    assert (cancel.via, cancel.uri, cancel.to, cancel.from_) == (
        txn.request.via,
        txn.request.uri,
        txn.request.to,
        txn.request.from_,
    )
    assert cancel.cseq == (1, "CANCEL")
    assert txn.cancelled


def test_cancel_is_sent_once_and_its_own_answer_is_nobodys_business() -> None:
    bench = Bench()
    txn = start(bench)
    answer(bench, txn, 180)
    cancel = only(bench.note(bench.layer.cancel(txn, 0.0)), Send)
    assert isinstance(cancel, Send)
    assert bench.layer.cancel(txn, 0.0) == []
    answer(bench, txn, 180)
    assert isinstance(cancel.message, Request)
    assert bench.receive(answer_bytes(cancel.message, 200)) == []
    assert [type(item) for item in answer(bench, txn, 487)] == [Send, Answer]
    bench.run_to(100)
    assert bench.sent("CANCEL") == [0.0]
    assert bench.times(Timeout) == []


def test_cancel_is_repeated_like_any_request() -> None:
    bench = Bench()
    txn = start(bench)
    answer(bench, txn, 180)
    bench.note(bench.layer.cancel(txn, 0.0))
    bench.run_to(3.5)
    assert bench.sent("CANCEL") == [0.0, 0.5, 1.5, 3.5]


def test_a_cancelled_invite_that_never_ends_times_out_64_t1_after_the_cancel() -> None:
    bench = Bench()
    txn = start(bench)
    answer(bench, txn, 180)
    bench.run_to(10.0)
    bench.note(bench.layer.cancel(txn, 10.0))
    bench.run_to(100.0)
    assert bench.times(Timeout) == [42.0]
    assert txn.state is State.TERMINATED


def test_the_2xx_wins_the_race_against_cancel() -> None:
    bench = Bench()
    txn = start(bench)
    answer(bench, txn, 180)
    bench.note(bench.layer.cancel(txn, 0.0))
    assert [type(item) for item in answer(bench, txn, 200)] == [Answer]
    assert txn.cancelled  # so the user acknowledges and hangs up
    bench.run_to(100)
    assert bench.times(Timeout) == []


def test_a_2xx_while_cancel_waits_means_no_cancel() -> None:
    bench = Bench()
    txn = start(bench)
    bench.layer.cancel(txn, 0.0)
    answer(bench, txn, 200)
    bench.run_to(100)
    assert bench.sent("CANCEL") == []


def test_over_a_stream_nothing_is_repeated() -> None:
    bench = Bench()
    txn = start(bench, Peer("192.0.2.10", 5062, "TCP"))
    bench.run_to(31.9)
    assert bench.sent("INVITE") == [0.0]
    assert txn.request.via.transport == "TCP"
    bench.run_to(32.0)
    assert bench.times(Timeout) == [32.0]


def test_our_via_asks_for_rport_and_has_the_cookie() -> None:
    txn = start(Bench())
    assert txn.request.via.branch.startswith("z9hG4bK")
    assert "rport" in txn.request.via.params
    assert (txn.request.via.host, txn.request.via.port) == ("192.0.2.1", 5060)


def test_answers_that_are_not_ours_are_dropped() -> None:
    bench = Bench()
    txn = start(bench)
    foreign = answer_bytes(txn.request, 200).replace(txn.request.via.branch.encode(), b"z9hG4bKforeign")
    two_vias = answer_bytes(txn.request, 200).replace(b"\r\nFrom", b"\r\nVia: SIP/2.0/UDP x;branch=1\r\nFrom", 1)
    other_method = answer_bytes(txn.request, 200).replace(b"1 INVITE", b"1 OPTIONS")
    for data in (foreign, two_vias, other_method):
        dropped = only(bench.receive(data), Dropped)
        assert isinstance(dropped, Dropped)
        assert dropped.reason == "stray-response"
