"""Fuzzing for as long as one likes: ``SIVO_FUZZ_SECONDS=7200 make test-long`` (five minutes if nothing is said).

Every round has its own seed, printed when it fails; memory may not grow from round to round.
"""

import os
import random
import time
from pathlib import Path

from sivo.base.clock import SystemClock
from sivo.media.leg import Leg
from sivo.media.protocol import Remote
from sivo.sip import NotAcceptable, Peer, SessionDescription, SipParseError, TransactionLayer
from sivo.sip.offer_answer import audio_of
from sivo.sip.transactions import Incoming
from support.hostile import RTCP, RTP, SDP, SEEDS, TORTURE, damaged, fresh, mutate

SECONDS = float(os.environ.get("SIVO_FUZZ_SECONDS", "300"))
US, PHONE = Peer("192.0.2.1", 5060), Peer("192.0.2.10", 5062)
ROUND = 5000


def resident_kib() -> int:
    """Memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def signalling(rng: random.Random) -> None:
    layer = TransactionLayer(accept=lambda request, source: True, sent_by=lambda _: (US.host, US.port))
    now = 0.0
    for _ in range(ROUND):
        data = mutate(rng, fresh(rng, rng.choice(SEEDS + TORTURE)))
        for output in layer.receive(data, PHONE, US, now):
            if isinstance(output, Incoming) and rng.random() < 0.7:
                layer.respond(output.txn, output.txn.response(rng.choice((180, 200, 404, 486))), now)
        now += rng.random() * 0.1
        layer.poll(now)
    layer.poll(now + 1000)
    layer.poll(now + 2000)
    assert layer.active["answered"] == 0


def descriptions(rng: random.Random) -> None:
    for _ in range(ROUND):
        try:
            audio_of(SessionDescription.parse(mutate(rng, SDP)))
        except (SipParseError, NotAcceptable):
            continue


def voice(rng: random.Random) -> None:
    leg = Leg("caller", 0)
    leg.set_remote(Remote(host="192.0.2.10", port=4000))
    for number in range(ROUND):
        leg.datagram(damaged(rng, rng.choice(RTP)), ("192.0.2.10", 4000), number * 0.01)
        leg.control(damaged(rng, rng.choice(RTCP)), ("192.0.2.10", 4001), number * 0.01)
        leg.hear(number * 0.01)


def test_hours_of_hostile_datagrams() -> None:
    end = SystemClock().monotonic() + SECONDS
    seed, settled = time.time_ns(), 0
    rounds = 0
    while SystemClock().monotonic() < end or rounds < 4:
        rng = random.Random(seed + rounds)
        print(f"\rround {rounds}, seed {seed + rounds}", end="", flush=True)
        signalling(rng)
        descriptions(rng)
        voice(rng)
        rounds += 1
        if rounds == 3:
            settled = resident_kib()
    grown = resident_kib() - settled
    print(f"\n{rounds * 4 * ROUND:,} datagrams, {grown} KiB grown since round 3")
    assert grown < 32 * 1024
