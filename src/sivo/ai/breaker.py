"""Circuit breaker: a provider that fails again and again is not asked for a while, so that callers do not wait for it.

Sans I/O; times are seconds on any clock that only grows.
"""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass, field

from sivo.media.protocol import Stage
from sivo.speech.faults import ProviderError

#: So many failures within the window open the circuit for a while; then one request may try.
FAILURES = 3
WINDOW_S = 30.0
OPEN_S = 30.0
#: Circuits that are remembered; the one not used for longest goes first.
_KEPT = 10_000
_ACCOUNT_STATUS = (401, 402, 403, 429)


@dataclass(slots=True)
class _Circuit:
    failed_at: deque[float] = field(default_factory=lambda: deque(maxlen=FAILURES))
    open_until: float = 0.0
    #: A request is trying whether the provider works again.
    probing: bool = False


class Breaker:
    """All circuits of a process, one per tenant and provider (as configured: a changed key or model is another)."""

    def __init__(self) -> None:
        self._circuits: dict[bytes, _Circuit] = {}

    @staticmethod
    def key(tenant: str, stage: Stage) -> bytes:
        """Names a circuit; holds a digest of the credential only."""
        parts = (tenant, stage.protocol, stage.base_url, stage.model, stage.voice, stage.api_key)
        return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).digest()

    def allows(self, key: bytes, now: float) -> bool:
        """Whether the provider may be asked. After the open time exactly one request may, until it is known how that
        went."""
        circuit = self._circuits.get(key)
        if circuit is None or not circuit.open_until:
            return True
        if now < circuit.open_until or circuit.probing:
            return False
        circuit.probing = True
        return True

    def worked(self, key: bytes) -> None:
        """The provider did its part."""
        self._circuits.pop(key, None)

    def failed(self, key: bytes, now: float) -> None:
        """The provider did not."""
        circuit = self._circuits.pop(key, None) or _Circuit()
        self._circuits[key] = circuit
        if len(self._circuits) > _KEPT:
            self._circuits.pop(next(iter(self._circuits)))
        circuit.failed_at.append(now)
        if circuit.probing or (len(circuit.failed_at) == FAILURES and now - circuit.failed_at[0] <= WINDOW_S):
            circuit.open_until = now + OPEN_S
        circuit.probing = False

    def left(self, key: bytes) -> None:
        """A request was cancelled before anything was known about it."""
        circuit = self._circuits.get(key)
        if circuit is not None:
            circuit.probing = False


def counts(error: ProviderError) -> bool:
    """Whether a fault says something about the provider, and not about one request or our own guard."""
    return error.cause in ("refused", "slow", "cut", "garbage") or error.status in _ACCOUNT_STATUS


def is_open(stage: str) -> ProviderError:
    """The fault of a provider that is not asked."""
    return ProviderError("refused", f"the {stage} provider failed {FAILURES} times within {WINDOW_S:.0f} s and rests")
