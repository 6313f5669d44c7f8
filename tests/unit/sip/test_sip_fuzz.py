"""Hostile datagrams: no crash, no reply to strangers, no state left behind. Seeds are fixed; failures reproduce."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sip_bench import PHONE, Bench, answer_bytes, our_request, request_bytes

from sivo.sip import NotAcceptable, SessionDescription, SipParseError, parse
from sivo.sip.ladder import redacted
from sivo.sip.offer_answer import audio_of
from sivo.sip.transactions import Dropped, Incoming

SDP = (
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 8 101\r\n"
    b"a=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\na=sendrecv\r\nm=video 5000 RTP/AVP 31\r\n"
)
SEEDS = [
    request_bytes(method, extra=extra) + body
    for method in ("INVITE", "ACK", "BYE", "CANCEL", "REGISTER", "OPTIONS")
    for extra, body in (
        ([], b""),
        (["Content-Type: application/sdp", f"Content-Length: {len(SDP)}"], SDP),
        (['Authorization: Digest username="1", realm="r", nonce="n", uri="sip:a", response="0"', "Require: x"], b""),
        (["Record-Route: <sip:p;lr>", "Route: <sip:q;lr>", "v: SIP/2.0/UDP h;branch=b", "m: *"], b""),
    )
]
SPLICES = [
    b"\r\n", b"\n", b"\0", b"\xff", b'"', b"<", b">", b";", b",", b":", b"@", b"%", b"%00", b"=", b" ", b"\t", b"\r\n ",
    b"\\", b"[", b"]", b"-1", b"0", b"99999999999999999999", b"SIP/2.0", b"sip:", b"tag=", b"branch=",
    b"z9hG4bK", b"rport", b"Content-Length: 1\r\n", b"l: 9\r\n",
    b"Via: ", b"\xe2\x80\xa8", b"\x85", b"a" * 300, b";;;;", b",,,,", b"*",
]  # fmt: skip


def mutate(rng: random.Random, data: bytes) -> bytes:
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(data) + 1)
        to = min(len(data), at + rng.choice((0, 1, 1, 2, 8, 40)))
        kind = rng.random()
        if kind < 0.45:
            data = data[:at] + rng.choice(SPLICES) + data[to:]
        elif kind < 0.6:
            data = data[:at] + data[to:]
        elif kind < 0.75:
            data = data[:at] + rng.randbytes(rng.randint(1, 8)) + data[to:]
        elif kind < 0.85:
            data = data[:at] + data[at : at + 60] * 2 + data[at:]
        elif kind < 0.95:
            other = rng.choice(SEEDS)
            data = data[:at] + other[rng.randrange(len(other)) :]
        else:
            data = data[:at]
    return data


def fresh(rng: random.Random, data: bytes) -> bytes:
    """Another call and branch, mostly, so that more than repetitions arrive; few enough that some do repeat."""
    return data.replace(b"call-1", b"call-%d" % rng.randrange(300)).replace(b"phone", b"%d" % rng.randrange(300))


@pytest.mark.parametrize("seed", range(4))
def test_mutated_datagrams_do_not_crash_and_end(seed: int) -> None:
    """4 x 6,000 datagrams through a live layer, with answers and time in between."""
    rng = random.Random(seed)
    bench = Bench(max_transactions=500)
    txn, _ = bench.layer.request(our_request(), PHONE, 0.0)
    seeds = [*SEEDS, answer_bytes(txn.request, 180), answer_bytes(txn.request, 200)]
    heard = 0
    for number in range(6000):
        for output in bench.receive(mutate(rng, fresh(rng, rng.choice(seeds)))):
            if isinstance(output, Incoming):
                heard += 1
                redacted(output.request)
                if rng.random() < 0.7:
                    bench.respond(output.txn, output.txn.response(rng.choice((180, 200, 404, 486))))
        bench.log.clear()
        if number % 50 == 0:
            bench.run_to(bench.now + rng.random() * 5)
        assert bench.layer.active["server"] <= 501  # CANCELs of what is known do not count against the limit
    assert heard > 100  # the mutations are not all rubbish
    bench.run_to(bench.now + 1000)
    assert bench.layer.active["client"] == 0
    assert bench.layer.active["answered"] == 0


@pytest.mark.parametrize("seed", range(2))
def test_strangers_get_nothing_whatever_they_send(seed: int) -> None:
    rng = random.Random(1000 + seed)
    bench = Bench()
    bench.refuse.add(PHONE.host)
    for _ in range(3000):
        outputs = bench.receive(mutate(rng, rng.choice(SEEDS)))
        assert all(isinstance(output, Dropped) for output in outputs), outputs
    assert bench.layer.active == {"server": 0, "client": 0, "answered": 0}
    assert bench.layer.next_timer() is None


def test_mutated_sdp_is_read_or_refused() -> None:
    rng = random.Random(7)
    read = 0
    for _ in range(5000):
        try:
            description = SessionDescription.parse(mutate(rng, SDP))
            audio_of(description)
            SessionDescription.parse(bytes(description))
            read += 1
        except (SipParseError, NotAcceptable):
            continue
    assert read > 100


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_noise_is_refused_by_the_parser(data: bytes) -> None:
    try:
        message = parse(data)
    except SipParseError:
        return
    assert bytes(parse(bytes(message))) == bytes(message)


def test_what_is_read_is_written_so_that_it_reads_the_same() -> None:
    rng = random.Random(99)
    read = 0
    for _ in range(4000):
        try:
            message = parse(mutate(rng, rng.choice(SEEDS)))
        except SipParseError:
            continue
        read += 1
        once = bytes(message)
        assert bytes(parse(once)) == once
    assert read > 200


def test_long_hostile_headers_are_read_in_linear_time() -> None:
    """Pieces that make careless parsers quadratic or exponential; 64 KiB each, all within the test's time limit."""
    for piece in (b'"', b"<", b"\\", b",", b";", b";a=", b'"\\', b"<sip:", b"(", b" \t", b"%", b"@"):
        for header in (b"Contact: ", b"Via: ", b"To: ", b"Route: ", b"CSeq: ", b"Content-Type: ", b"Authorization: "):
            value = piece * (60_000 // len(piece))
            data = request_bytes("OPTIONS").replace(b"Max-Forwards: 70", header + value)
            Bench().receive(data)
