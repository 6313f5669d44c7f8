"""What a leg and its peer tell each other about their streams: when, and what is learned (RFC 3550 §6.2, §6.4).

Pure: times are arguments. Round trips are measured on our monotonic clock: a report block counts only when it repeats
a sender report that we really sent, so a jump of the wall clock or an invented report changes nothing.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from typing import NamedTuple

from sivo.media import rtcp
from sivo.media.rtcp import Block, Report, SenderInfo
from sivo.media.rtp import ReceptionStats

#: Mean seconds between two reports (§6.2: a fixed minimum of 5 s); each wait is 0.5 to 1.5 times as long (§6.3.1).
INTERVAL_S = 5.0
_REMEMBERED = 8
_MOST_RTT_S = 30.0


class Sent(NamedTuple):
    """What a leg has sent so far."""

    ssrc: int
    packets: int
    octets: int
    #: RTP time that belongs to the moment of the report.
    timestamp: int
    #: Whether anything was sent since the report before the last one; if not, we are a receiver only.
    sending: bool


class Reports:
    """The RTCP side of one leg. ``rtt_ms`` is the newest round trip, None before the first."""

    def __init__(self, cname: str, rng: random.Random | None = None) -> None:
        self._cname = cname
        self._rng = rng or random.Random()  # noqa: S311 - spreads reports in time, protects nothing
        self._due: float | None = None
        self._sent_at: OrderedDict[int, float] = OrderedDict()
        self._heard_sr: tuple[int, int, float] | None = None  # (ssrc, middle of its NTP time, arrival)
        self._expected_before = 0
        self._received_before = 0
        self.received = 0
        self.rtt_ms: float | None = None
        #: What the peer says it lost (packets, share of the last interval) and its jitter of our stream.
        self.remote_lost = 0
        self.remote_loss = 0.0
        self.remote_jitter_ms = 0.0
        self.bye = False

    def take(self, data: bytes, our_ssrc: int, now: float) -> None:
        """Take one datagram from the peer. Raises :class:`~sivo.media.rtcp.RtcpError`."""
        compound = rtcp.parse(data)
        self.received += 1
        for report in compound.reports:
            if report.sender is not None:
                self._heard_sr = (report.ssrc, rtcp.middle(report.sender.ntp), now)
            for block in report.blocks:
                if block.ssrc == our_ssrc:
                    self._learn(block, now)
        self.bye = self.bye or bool(compound.byes)

    def _learn(self, block: Block, now: float) -> None:
        self.remote_lost = block.lost
        self.remote_loss = block.fraction / 256
        self.remote_jitter_ms = block.jitter / 8
        sent_at = self._sent_at.get(block.last_sr)
        if sent_at is None:
            return
        rtt = now - sent_at - block.delay / 65536
        if 0 <= rtt <= _MOST_RTT_S:
            self.rtt_ms = rtt * 1000

    def due(self, now: float) -> bool:
        """Whether a report is to be sent now; the first one half an interval after the first question."""
        if self._due is None:
            self._due = now + self._wait() / 2
        return now >= self._due

    def next(self, sent: Sent, heard: ReceptionStats, now: float, unix: float, *, bye: bool = False) -> bytes:
        """The report of now."""
        self._due = now + self._wait()
        sender = None
        if sent.sending:
            ntp = rtcp.ntp_of(unix)
            sender = SenderInfo(ntp, sent.timestamp, sent.packets, sent.octets)
            self._sent_at[rtcp.middle(ntp)] = now
            while len(self._sent_at) > _REMEMBERED:
                self._sent_at.popitem(last=False)
        blocks = (self._block(heard, now),) if heard.ssrc is not None else ()
        return rtcp.build(Report(sent.ssrc, sender, blocks), self._cname, bye)

    def _wait(self) -> float:
        return INTERVAL_S * self._rng.uniform(0.5, 1.5)

    def _block(self, heard: ReceptionStats, now: float) -> Block:
        expected, received = heard.expected, heard.received_of_stream
        since, got = expected - self._expected_before, received - self._received_before
        self._expected_before, self._received_before = expected, received
        lost = since - got
        fraction = min(lost * 256 // since, 255) if since > 0 and lost > 0 else 0
        ssrc = heard.ssrc or 0
        last_sr = delay = 0
        if self._heard_sr is not None and self._heard_sr[0] == ssrc:
            last_sr = self._heard_sr[1]
            delay = min(int((now - self._heard_sr[2]) * 65536), 0xFFFFFFFF)
        highest = heard.highest & 0xFFFFFFFF
        return Block(ssrc, fraction, expected - received, highest, int(heard.jitter), last_sr, delay)
