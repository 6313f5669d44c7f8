"""Identifiers: UUIDv7 for entities (RFC 9562 §5.7) and prefixed ULIDs for events."""

from __future__ import annotations

import base64
import os
import time
from uuid import UUID

_CROCKFORD = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", b"0123456789ABCDEFGHJKMNPQRSTVWXYZ")


def uuid7(at_ms: int | None = None) -> UUID:
    """A UUIDv7: 48 bits of Unix milliseconds, then random bits; sorts by time of creation."""
    ms = time.time_ns() // 1_000_000 if at_ms is None else at_ms
    value = (ms & ((1 << 48) - 1)) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=value)


def ulid(at_ms: int | None = None) -> str:
    """26 characters of Crockford base 32: 48 bits of milliseconds, 80 random bits."""
    ms = time.time_ns() // 1_000_000 if at_ms is None else at_ms
    return crockford((ms & ((1 << 48) - 1)) << 80 | int.from_bytes(os.urandom(10), "big"))


def crockford(value: int) -> str:
    """128 bits (of a ULID, or of a UUIDv7, which begins with its time as well) as 26 characters."""
    # 160 bits are 32 characters of RFC 4648; the last 26 of them are ours in another alphabet.
    return base64.b32encode(value.to_bytes(20, "big"))[6:].translate(_CROCKFORD).decode()


def event_id() -> str:
    """Identity of one event, constant over every delivery attempt: ``evt_`` + ULID."""
    return f"evt_{ulid()}"
