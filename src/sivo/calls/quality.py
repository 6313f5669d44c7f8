"""How the caller's voice reached us, as a MOS estimate (E-model of ITU-T G.107, reduced to what RTP tells).

G.711 with packet-loss concealment: Ie = 0, Bpl = 25.1 (G.113 Appendix I). Delay is not known without RTCP and counted
as none; lost and late packets count alike, for neither was heard.
"""

from __future__ import annotations

from collections.abc import Mapping

BPL = 25.1
#: R of a perfect G.711 call.
BEST_R = 93.2


def mos(stats: Mapping[str, float]) -> float | None:
    """1.0 to 4.5 from the statistics of a leg; None when nothing was received."""
    received = stats.get("packets_received", 0)
    if not received:
        return None
    missing = stats.get("lost", 0) + stats.get("late", 0)
    percent = 100 * missing / (received + stats.get("lost", 0))
    r = BEST_R - 95 * percent / (percent + BPL)
    if r <= 0:
        return 1.0
    return round(1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6, 2)
