"""The timer values of RFC 3261 §17 (table 4 of appendix A), in seconds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timers:
    """``t1``: round-trip estimate, ``t2``: longest interval between repetitions, ``t4``: longest life of a message in
    the network. ``trying``: how long a transaction user may take before we send 100 by ourselves (§17.2.1)."""

    t1: float = 0.5
    t2: float = 4.0
    t4: float = 5.0
    trying: float = 0.2

    @property
    def limit(self) -> float:
        """64 * T1: timers B, D, F, H, J, L, M and the wait for the ACK of a 2xx."""
        return 64 * self.t1
