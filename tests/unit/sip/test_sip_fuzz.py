"""More than 100,000 hostile datagrams: 64,000 SIP, 12,000 of strangers, 20,000 SDP, 6,000 read back, and 66,000 RTP,
RTCP and SRTP in ``test_media_fuzz``. No crash, no reply to strangers, no state left behind; seeds are fixed."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sip_bench import PHONE, Bench, answer_bytes, our_request, request_bytes

from sivo.sip import NotAcceptable, SessionDescription, SipParseError, parse
from sivo.sip.ladder import redacted
from sivo.sip.offer_answer import audio_of
from sivo.sip.transactions import Dropped, Incoming
from support.hostile import SDP, SEEDS, TORTURE, fresh, mutate


@pytest.mark.parametrize("seed", range(8))
def test_mutated_datagrams_do_not_crash_and_end(seed: int) -> None:
    """8 x 8,000 datagrams through a live layer, with answers and time in between."""
    rng = random.Random(seed)
    bench = Bench(max_transactions=500)
    txn, _ = bench.layer.request(our_request(), PHONE, 0.0)
    seeds = [*SEEDS, *TORTURE, answer_bytes(txn.request, 180), answer_bytes(txn.request, 200)]
    heard = 0
    for number in range(8000):
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


@pytest.mark.parametrize("seed", range(4))
def test_strangers_get_nothing_whatever_they_send(seed: int) -> None:
    rng = random.Random(1000 + seed)
    bench = Bench()
    bench.refuse.add(PHONE.host)
    for _ in range(3000):
        outputs = bench.receive(mutate(rng, rng.choice([*SEEDS, *TORTURE])))
        assert all(isinstance(output, Dropped) for output in outputs), outputs
    assert bench.layer.active == {"server": 0, "client": 0, "answered": 0}
    assert bench.layer.next_timer() is None


def test_mutated_sdp_is_read_or_refused() -> None:
    rng = random.Random(7)
    read = 0
    for _ in range(20_000):
        try:
            description = SessionDescription.parse(mutate(rng, SDP))
            audio_of(description)
            SessionDescription.parse(bytes(description))
            read += 1
        except (SipParseError, NotAcceptable):
            continue
    assert read > 100


@settings(max_examples=300)
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
    for _ in range(6000):
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
