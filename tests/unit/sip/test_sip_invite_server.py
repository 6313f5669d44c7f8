"""INVITE server transaction: states and timers G, H, I, L, the 200 ms of 100 Trying, and the 2xx of the UAS core."""

import pytest
from sip_bench import PHONE, Bench, only, read, request_bytes

from sivo.sip import Peer, ServerTransaction, State
from sivo.sip.transactions import AckTimeout, Dropped, Incoming, IncomingAck, Send

DOUBLING_TO_T2 = [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]


def open_invite(bench: Bench) -> ServerTransaction:
    incoming = only(bench.receive(request_bytes()), Incoming)
    assert isinstance(incoming, Incoming)
    return incoming.txn


def ack_bytes(txn: ServerTransaction, *, branch: str = "z9hG4bKphone") -> bytes:
    return request_bytes("ACK", branch=branch, to_tag=txn.to_tag)


def test_trying_is_sent_after_200_ms_of_silence() -> None:
    bench = Bench()
    txn = open_invite(bench)
    bench.run_to(10)
    assert bench.sent("100 Trying") == [0.2]
    assert txn.state is State.PROCEEDING


def test_no_trying_after_another_answer() -> None:
    bench = Bench()
    txn = open_invite(bench)
    bench.respond(txn, txn.response(180))
    bench.run_to(10)
    assert bench.sent("100 Trying") == []


def test_a_repeated_invite_gets_the_last_provisional_answer() -> None:
    bench = Bench()
    txn = open_invite(bench)
    assert bench.receive(request_bytes()) == []
    bench.respond(txn, txn.response(180))
    bench.respond(txn, txn.response(183))
    again = only(bench.receive(request_bytes()), Send)
    assert isinstance(again, Send)
    assert again.again
    assert again.message.start_line == "SIP/2.0 183 Session Progress"
    assert bench.times(Incoming) == [0.0]


def test_refusal_is_repeated_by_timer_g_until_timer_h() -> None:
    bench = Bench()
    txn = open_invite(bench)
    bench.respond(txn, txn.response(486))
    assert txn.state is State.COMPLETED
    bench.run_to(40)
    assert bench.sent("486") == [0.0, *DOUBLING_TO_T2]
    assert txn.state is State.TERMINATED
    assert bench.times(AckTimeout) == []
    assert bench.layer.active == {"server": 0, "client": 0, "answered": 0}


def test_timer_h_is_exactly_64_t1() -> None:
    bench = Bench()
    txn = open_invite(bench)
    bench.respond(txn, txn.response(486))
    bench.run_to(31.999)
    assert txn.state is State.COMPLETED
    bench.run_to(32.0)
    assert txn.state is State.TERMINATED


def test_ack_ends_the_repetition_and_timer_i_the_transaction() -> None:
    bench = Bench()
    txn = open_invite(bench)
    bench.respond(txn, txn.response(404))
    bench.run_to(1.0)
    assert bench.receive(ack_bytes(txn)) == []  # not for the transaction user
    assert txn.state is State.CONFIRMED
    assert bench.receive(request_bytes()) == []
    assert bench.receive(ack_bytes(txn)) == []
    bench.run_to(5.999)
    assert txn.state is State.CONFIRMED
    bench.run_to(6.0)
    assert txn.state is State.TERMINATED
    assert bench.sent("404") == [0.0, 0.5]


def test_repeated_invite_gets_the_refusal_again() -> None:
    bench = Bench()
    txn = open_invite(bench)
    bench.respond(txn, txn.response(404))
    bench.run_to(0.1)
    assert isinstance(only(bench.receive(request_bytes()), Send), Send)
    assert bench.sent("404") == [0.0, 0.1]


def test_2xx_is_repeated_by_the_core_until_its_ack() -> None:
    bench = Bench()
    txn = open_invite(bench)
    bench.respond(txn, txn.response(200))
    assert txn.state is State.ACCEPTED
    bench.run_to(8.0)
    acked = only(bench.receive(ack_bytes(txn, branch="z9hG4bKack")), IncomingAck)
    assert isinstance(acked, IncomingAck)
    assert acked.txn is txn
    bench.run_to(31.999)
    assert bench.sent("200 OK") == [0.0, 0.5, 1.5, 3.5, 7.5]
    assert txn.state is State.ACCEPTED  # timer L
    bench.run_to(32.0)
    assert txn.state is State.TERMINATED
    assert bench.times(AckTimeout) == []
    assert bench.layer.active == {"server": 0, "client": 0, "answered": 0}


def test_a_2xx_nobody_acknowledges_ends_in_ack_timeout_after_64_t1() -> None:
    bench = Bench()
    txn = open_invite(bench)
    bench.run_to(5.0)
    bench.respond(txn, txn.response(200))
    bench.run_to(100)
    assert bench.sent("200 OK") == [5.0] + [5 + at for at in DOUBLING_TO_T2]
    assert bench.times(AckTimeout) == [37.0]


def test_repeated_ack_and_repeated_invite_are_absorbed() -> None:
    bench = Bench()
    txn = open_invite(bench)
    bench.respond(txn, txn.response(200))
    assert len(bench.receive(ack_bytes(txn, branch="z9hG4bKa"))) == 1
    assert bench.receive(ack_bytes(txn, branch="z9hG4bKb")) == []
    assert bench.receive(request_bytes()) == []


def test_a_bye_stops_the_repetition_when_the_ack_was_lost() -> None:
    bench = Bench()
    txn = open_invite(bench)
    bench.respond(txn, txn.response(200))
    bench.run_to(1.0)
    bye = only(bench.receive(request_bytes("BYE", branch="z9hG4bKbye", cseq=2, to_tag=txn.to_tag)), Incoming)
    assert isinstance(bye, Incoming)
    bench.run_to(60)
    assert bench.sent("200 OK") == [0.0, 0.5]
    assert bench.times(AckTimeout) == []


@pytest.mark.parametrize(
    "ack",
    [
        request_bytes("ACK", branch="z9hG4bKother", to_tag="wrong"),
        request_bytes("ACK", branch="z9hG4bKother", to_tag="ours", cseq=2),
        request_bytes("ACK", branch="z9hG4bKother", to_tag="ours", call_id="other"),
        request_bytes("ACK", branch="z9hG4bKother", to_tag="ours", from_tag="other"),
    ],
)
def test_an_ack_of_something_else_does_not_count(ack: bytes) -> None:
    bench = Bench()
    txn = open_invite(bench)
    txn.to_tag = "ours"
    bench.respond(txn, txn.response(200))
    assert isinstance(only(bench.receive(ack), Dropped), Dropped)
    bench.run_to(0.5)
    assert bench.sent("200 OK") == [0.0, 0.5]


def test_after_a_final_answer_others_have_no_effect() -> None:
    bench = Bench()
    txn = open_invite(bench)
    bench.respond(txn, txn.response(200))
    assert bench.respond(txn, txn.response(487)) == []
    assert bench.respond(txn, txn.response(180)) == []
    assert txn.final is not None
    assert txn.final.status == 200


def test_the_to_tag_is_one_for_all_answers_and_none_for_100() -> None:
    bench = Bench()
    txn = open_invite(bench)
    tags = [read(only(bench.respond(txn, txn.response(code)), Send)).to.tag for code in (100, 180, 200)]
    assert tags == [None, txn.to_tag, txn.to_tag]


def test_over_a_stream_refusals_are_sent_once_and_end_with_the_ack() -> None:
    bench = Bench()
    source = Peer("192.0.2.10", 5062, "TCP", "flow")
    incoming = only(bench.receive(request_bytes(transport="TCP"), source), Incoming)
    assert isinstance(incoming, Incoming)
    txn = incoming.txn
    bench.respond(txn, txn.response(486))
    bench.run_to(3.0)
    assert bench.sent("486") == [0.0]
    bench.receive(request_bytes("ACK", to_tag=txn.to_tag, transport="TCP"), source)
    assert txn.state is State.TERMINATED


def test_answers_go_where_the_via_says() -> None:
    bench = Bench()
    txn = open_invite(bench)
    send = only(bench.respond(txn, txn.response(180)), Send)
    assert isinstance(send, Send)
    assert send.destination == PHONE
