"""24,000 hostile RTP and RTCP datagrams into one leg: no crash, bounded buffers, and the right voice is still heard."""

import random

import pytest

from sivo.media.leg import Leg
from sivo.media.protocol import Remote
from support.hostile import RTP, damaged

PEER = ("192.0.2.10", 4000)
STRANGER = ("198.51.100.1", 4000)


@pytest.mark.parametrize("seed", range(3))
def test_damaged_packets_do_not_crash_a_leg(seed: int) -> None:
    rng = random.Random(seed)
    leg = Leg("caller", 0)
    leg.set_remote(Remote(host=PEER[0], port=PEER[1]))
    now = 0.0
    for number in range(8000):
        leg.datagram(damaged(rng, rng.choice(RTP)), PEER if rng.random() < 0.8 else STRANGER, now)
        if number % 2:
            now += 0.02
            assert len(leg.hear(now).ulaw) == 160
            leg.presses(now)
            leg.packet(number // 2, bytes(160))
    stats = leg.stats()
    assert stats.malformed > 500
    assert stats.packets_received > 500


def test_the_voice_is_heard_again_after_the_storm() -> None:
    rng = random.Random(99)
    leg = Leg("caller", 0)
    leg.set_remote(Remote(host=PEER[0], port=PEER[1]))
    for _ in range(500):
        leg.datagram(damaged(rng, rng.choice(RTP)), PEER, 0.0)
    heard = 0
    for number in range(500):
        packet = bytes([0x80, 0]) + (9000 + number).to_bytes(2, "big")
        packet += (700_000 + 160 * number).to_bytes(4, "big") + b"voic" + b"\x42" * 160
        leg.datagram(packet, PEER, 1 + number * 0.02)
        heard += leg.hear(1.01 + number * 0.02).ulaw == b"\x42" * 160
    assert heard > 400
