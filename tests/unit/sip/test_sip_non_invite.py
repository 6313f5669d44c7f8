"""Non-INVITE transactions: timers E, F, J, K and their states."""

from sip_bench import PHONE, Bench, answer_bytes, only, our_request, request_bytes

from sivo.sip import ClientTransaction, Peer, ServerTransaction, State
from sivo.sip.transactions import Answer, Incoming, Send, Timeout


def start(bench: Bench, destination: Peer = PHONE) -> ClientTransaction:
    txn, outputs = bench.layer.request(our_request("OPTIONS"), destination, bench.now)
    bench.note(outputs)
    return txn


def serve(bench: Bench, source: Peer = PHONE, transport: str = "UDP") -> ServerTransaction:
    incoming = only(bench.receive(request_bytes("OPTIONS", transport=transport), source), Incoming)
    assert isinstance(incoming, Incoming)
    return incoming.txn


def test_timer_e_doubles_to_t2_and_timer_f_ends_it() -> None:
    bench = Bench()
    txn = start(bench)
    bench.run_to(100)
    assert bench.sent("OPTIONS") == [0.0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert bench.times(Timeout) == [32.0]
    assert txn.state is State.TERMINATED


def test_after_a_provisional_answer_the_interval_is_t2() -> None:
    bench = Bench()
    txn = start(bench)
    bench.run_to(0.6)
    bench.receive(answer_bytes(txn.request, 100))
    assert txn.state is State.PROCEEDING
    bench.run_to(100)
    assert bench.sent("OPTIONS")[:5] == [0.0, 0.5, 1.5, 5.5, 9.5]
    assert bench.times(Timeout) == [32.0]


def test_the_final_answer_comes_once_and_timer_k_absorbs_the_rest() -> None:
    bench = Bench()
    txn = start(bench)
    bench.run_to(1.0)
    assert isinstance(only(bench.receive(answer_bytes(txn.request, 200)), Answer), Answer)
    assert bench.receive(answer_bytes(txn.request, 200)) == []
    assert txn.state is State.COMPLETED
    bench.run_to(5.999)
    assert txn.state is State.COMPLETED
    bench.run_to(6.0)
    assert txn.state is State.TERMINATED
    assert bench.sent("OPTIONS") == [0.0, 0.5]


def test_over_a_stream_the_client_ends_at_once() -> None:
    bench = Bench()
    txn = start(bench, Peer("192.0.2.10", 5062, "TLS"))
    bench.run_to(10)
    assert bench.sent("OPTIONS") == [0.0]
    bench.receive(answer_bytes(txn.request, 200))
    assert txn.state is State.TERMINATED


def test_the_server_answers_repetitions_and_timer_j_ends_it() -> None:
    bench = Bench()
    txn = serve(bench)
    assert txn.state is State.TRYING
    assert bench.receive(request_bytes("OPTIONS")) == []  # nothing to repeat yet
    bench.respond(txn, txn.response(200))
    assert txn.state is State.COMPLETED
    bench.run_to(31.999)
    again = only(bench.receive(request_bytes("OPTIONS")), Send)
    assert isinstance(again, Send)
    assert again.again
    bench.run_to(32.0)
    assert txn.state is State.TERMINATED
    assert bench.sent("200 OK") == [0.0, 31.999]
    assert bench.layer.active["server"] == 0


def test_a_provisional_answer_is_repeated_too() -> None:
    bench = Bench()
    txn = serve(bench)
    bench.respond(txn, txn.response(183))
    assert txn.state is State.PROCEEDING
    assert isinstance(only(bench.receive(request_bytes("OPTIONS")), Send), Send)
    bench.respond(txn, txn.response(200))
    assert bench.respond(txn, txn.response(500)) == []


def test_over_a_stream_the_server_ends_at_once() -> None:
    bench = Bench()
    source = Peer("192.0.2.10", 5062, "TCP", "flow")
    txn = serve(bench, source, "TCP")
    send = only(bench.respond(txn, txn.response(200)), Send)
    assert isinstance(send, Send)
    assert send.destination == source
    assert txn.state is State.TERMINATED
