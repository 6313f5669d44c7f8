"""Streams are cut into messages by Content-Length, however the bytes arrive."""

import random

import pytest
from sip_bench import request_bytes

from sivo.sip import SipParseError, parse
from sivo.sip.framing import PING, Framer
from support.hostile import SEEDS, TORTURE, mutate


def message(call_id: str, body: bytes = b"") -> bytes:
    return request_bytes("OPTIONS", call_id=call_id, extra=[f"Content-Length: {len(body)}"]) + body


def test_several_messages_in_one_read_and_one_in_many() -> None:
    data = message("a", b"x\r\n\r\ny") + message("b") + message("c", b"z" * 3000)
    framer = Framer()
    assert [parse(one).call_id for one in framer.feed(data)] == ["a", "b", "c"]
    for size in (1, 7, 100):
        framer, found = Framer(), []
        for at in range(0, len(data), size):
            found += framer.feed(data[at : at + size])
        assert b"".join(found) == data
        assert not framer.unfinished


def test_keep_alives_stand_between_messages() -> None:
    framer = Framer()
    assert framer.feed(b"\r\n\r\n") == [PING]
    assert framer.feed(b"\r\n\r\n" + message("a") + b"\r\n\r\n")[0::2] == [PING, PING]
    assert framer.feed(b"\r\n") == []
    assert not framer.unfinished  # half a keep-alive is no unfinished message
    assert framer.feed(message("b")) == [message("b")]


def test_compact_and_folded_lengths_are_understood() -> None:
    for line in ("l: 2", "L:2", "content-length  : 2", "Content-Length:\r\n 2"):
        assert Framer().feed(request_bytes("OPTIONS", extra=[line]) + b"okmore")[0].endswith(b"\r\n\r\nok")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request_bytes("OPTIONS"), 400),
        (request_bytes("OPTIONS", extra=["Content-Length: 1", "Content-Length: 2"]), 400),
        (request_bytes("OPTIONS", extra=["Content-Length: x"]), 400),
        (request_bytes("OPTIONS", extra=["Content-Length: 65536"]), 513),
        (b"OPTIONS sip:a SIP/2.0\r\n" + b"X: y\r\n" * 12_000, 513),
    ],
)
def test_what_cannot_be_cut_ends_the_stream(data: bytes, status: int) -> None:
    with pytest.raises(SipParseError) as caught:
        Framer().feed(data)
    assert caught.value.sip_status == status


def test_hostile_streams_are_cut_or_refused_in_bounded_memory() -> None:
    rng = random.Random(3)
    cut = 0
    for _ in range(300):
        framer = Framer()
        stream = b"".join(mutate(rng, rng.choice(SEEDS + TORTURE)) for _ in range(10))
        try:
            for at in range(0, len(stream), 90):
                cut += len(framer.feed(stream[at : at + 90]))
        except SipParseError:
            continue
    assert cut > 50
