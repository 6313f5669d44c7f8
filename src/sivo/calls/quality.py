"""How a voice reached us, as figures for the CDR: loss, jitter, round trip and a MOS estimate.

MOS is the E-model of ITU-T G.107 reduced to what RTP and RTCP tell. G.711 with packet-loss concealment: Ie = 0,
Bpl = 25.1 (G.113 Appendix I); lost and late packets count alike, for neither was heard. Jitter counts by what it costs:
late packets, and the time that frames wait in the jitter buffer. The delay impairment is the simplification of
R. Cole and J. Rosenbluth (Voice over IP performance monitoring, 2001); the round trip is the one that RTCP measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

BPL = 25.1
#: R of a perfect G.711 call.
BEST_R = 93.2
#: Milliseconds that a frame takes to be filled before it can be sent.
PACKET_MS = 20.0
#: One-way delay from which conversation itself suffers.
_TALKOVER_MS = 177.3


def mos(stats: Mapping[str, Any]) -> float | None:
    """1.0 to 4.5 from the statistics of a leg; None when nothing was received."""
    percent = loss_percent(stats)
    if percent is None:
        return None
    r = BEST_R - _delay_impairment(_one_way_ms(stats)) - 95 * percent / (percent + BPL)
    if r <= 0:
        return 1.0
    return round(max(1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6, 1.0), 2)


def loss_percent(stats: Mapping[str, Any]) -> float | None:
    """Share of the peer's packets that was not heard, 0 to 100; None when nothing was received."""
    received, lost = stats.get("packets_received", 0), stats.get("lost", 0)
    if not received:
        return None
    return min(100.0 * float(lost + stats.get("late", 0)) / float(received + lost), 100.0)


def of_leg(stats: Mapping[str, Any]) -> dict[str, float | None]:
    """The figures of one leg: percent, milliseconds, MOS; what was never measured is None."""
    percent = loss_percent(stats)
    return {
        "loss_percent": None if percent is None else round(percent, 2),
        "jitter_ms": None if percent is None else stats.get("jitter_ms", 0.0),
        "rtt_ms": stats.get("rtt_ms"),
        "mos": mos(stats),
    }


def of_legs(stats: Mapping[str, Any]) -> dict[str, dict[str, float | None]]:
    """The same for every leg of a session's statistics."""
    return {name: of_leg(leg) for name, leg in (stats.get("legs") or {}).items()}


def _one_way_ms(stats: Mapping[str, Any]) -> float:
    return float(stats.get("rtt_ms") or 0.0) / 2 + float(stats.get("buffer_ms", 0.0)) + PACKET_MS


def _delay_impairment(one_way_ms: float) -> float:
    return 0.024 * one_way_ms + 0.11 * max(one_way_ms - _TALKOVER_MS, 0.0)
