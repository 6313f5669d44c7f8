"""Refresh-token rotation of one session, as a pure state machine (RFC 9700 §4.14.2).

Every use of the token in force makes a child of the next generation. An answer may get lost on its way, so the
immediate predecessor gets one more child within :data:`GRACE_S` of its use; both children are of the same generation,
and as soon as one of them is used the other counts as old. Any older token means that a copy is going around: the
whole family ends.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum

GRACE_S = 10.0


@dataclass(frozen=True, slots=True)
class Chain:
    """Where a family stands. ``predecessor`` is the hash of the token whose use made the generation in force."""

    generation: int
    expires_at: datetime
    revoked: bool = False
    predecessor: bytes | None = None
    rotated_at: datetime | None = None
    grace_used: bool = False


class Verdict(Enum):
    """What becomes of a token that was presented."""

    CHILD = "child"
    GRACE = "grace"
    REPLAYED = "replayed"
    EXPIRED = "expired"
    REVOKED = "revoked"


def present(chain: Chain, token_hash: bytes, generation: int, now: datetime) -> tuple[Verdict, Chain]:
    """Present a token of the family; the verdict and the chain after it.

    CHILD and GRACE: issue one token of ``chain.generation`` (of the returned chain). REPLAYED: the returned chain is
    revoked. EXPIRED is absolute: the family's age counts, not the token's.
    """
    if chain.revoked:
        return Verdict.REVOKED, chain
    if now >= chain.expires_at:
        return Verdict.EXPIRED, chain
    if generation == chain.generation:
        after = replace(chain, generation=generation + 1, predecessor=token_hash, rotated_at=now, grace_used=False)
        return Verdict.CHILD, after
    if _in_grace(chain, token_hash, now):
        return Verdict.GRACE, replace(chain, grace_used=True)
    return Verdict.REPLAYED, replace(chain, revoked=True)


def _in_grace(chain: Chain, token_hash: bytes, now: datetime) -> bool:
    if chain.grace_used or chain.predecessor != token_hash or chain.rotated_at is None:
        return False
    return now < chain.rotated_at + timedelta(seconds=GRACE_S)
