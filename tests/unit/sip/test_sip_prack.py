"""Reliable provisional answers (RFC 3262): repeated until their PRACK, given up after 64 * T1."""

from sip_bench import Bench, only, request_bytes

from sivo.sip import ServerTransaction
from sivo.sip.transactions import Incoming, IncomingCancel, Send


def ringing() -> tuple[Bench, ServerTransaction]:
    bench = Bench()
    incoming = only(bench.receive(request_bytes("INVITE", extra=["Require: 100rel"])), Incoming)
    assert isinstance(incoming, Incoming)
    bench.respond(incoming.txn, incoming.txn.response(180, headers=[("Require", "100rel"), ("RSeq", "1")]))
    return bench, incoming.txn


def prack(txn: ServerTransaction, rack: str, branch: str = "z9hG4bKprack") -> bytes:
    return request_bytes("PRACK", branch=branch, cseq=2, to_tag=txn.to_tag, extra=[f"RAck: {rack}"])


def answer_to(bench: Bench, data: bytes) -> str:
    sent = only(bench.receive(data), Send)
    assert isinstance(sent, Send)
    return sent.message.start_line


def test_it_is_repeated_with_doubling_intervals_until_the_prack() -> None:
    bench, txn = ringing()
    bench.run_to(4.0)
    assert bench.sent("180") == [0.0, 0.5, 1.5, 3.5]
    assert answer_to(bench, prack(txn, "1 1 INVITE")) == "SIP/2.0 200 OK"
    bench.run_to(100.0)
    assert bench.sent("180") == [0.0, 0.5, 1.5, 3.5]
    assert bench.times(IncomingCancel) == []


def test_a_prack_for_something_else_is_481_and_changes_nothing() -> None:
    bench, txn = ringing()
    for number, rack in enumerate(("2 1 INVITE", "1 2 INVITE", "1 1 UPDATE", "", "x")):
        assert answer_to(bench, prack(txn, rack, f"z9hG4bK{number}")).startswith("SIP/2.0 481")
    bench.run_to(0.6)
    assert bench.sent("180") == [0.0, 0.5]
    assert answer_to(bench, prack(txn, "1 1 INVITE")) == "SIP/2.0 200 OK"
    assert answer_to(bench, prack(txn, "1 1 INVITE", "z9hG4bKlate")).startswith("SIP/2.0 481")


def test_the_final_answer_ends_the_repetitions() -> None:
    bench, txn = ringing()
    bench.respond(txn, txn.response(200))
    bench.run_to(20.0)
    assert bench.sent("180") == [0.0]


def test_a_caller_that_never_acknowledges_is_gone_after_32_seconds() -> None:
    bench, txn = ringing()
    bench.run_to(31.9)
    assert bench.times(IncomingCancel) == []
    bench.run_to(32.0)
    assert bench.times(IncomingCancel) == [32.0]
    bench.respond(txn, txn.response(487))
    bench.run_to(200.0)
    assert bench.layer.active == {"server": 0, "client": 0, "answered": 0}
    assert not bench.layer._reliable
