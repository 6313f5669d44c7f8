"""Identifiers: UUIDv7 for entities (RFC 9562 §5.7) and prefixed ULIDs for events."""

from __future__ import annotations

import os
import time
from uuid import UUID, SafeUUID

_MS = (1 << 48) - 1
#: A UUIDv7 without its time and its random bits, and where those stand.
_VERSION, _RANDOM = 0x7 << 76 | 0x2 << 62, ~(0xF << 76 | 0x3 << 62)
_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
#: Two digits of base 32 at a time.
_PAIRS = [one + other for one in _DIGITS for other in _DIGITS]
_SHIFTS = range(120, -1, -10)
#: Asked of the kernel at a time: a system call costs more than all the rest of an identifier.
_AT_ONCE = 256
#: Random numbers of 80 bits that nobody has used yet.
_random: list[int] = []
os.register_at_fork(after_in_child=_random.clear)  # a child must not use what its parent will use
_empty, _set, _unknown = object.__new__, object.__setattr__, SafeUUID.unknown


def _eighty_bits() -> int:
    try:
        return _random.pop()  # in one step, so that threads never get the same one
    except IndexError:
        many = os.urandom(10 * _AT_ONCE)
        _random.extend(int.from_bytes(many[place : place + 10], "big") for place in range(10, 10 * _AT_ONCE, 10))
        return int.from_bytes(many[:10], "big")


def uuid7(at_ms: int | None = None) -> UUID:
    """A UUIDv7: 48 bits of Unix milliseconds, then random bits; sorts by time of creation."""
    ms = time.time_ns() // 1_000_000 if at_ms is None else at_ms
    made = _empty(UUID)  # the way through its __init__ takes longer than all of this
    _set(made, "int", (ms & _MS) << 80 | _eighty_bits() & _RANDOM | _VERSION)
    _set(made, "is_safe", _unknown)
    return made


def ulid(at_ms: int | None = None) -> str:
    """26 characters of Crockford base 32: 48 bits of milliseconds, 80 random bits."""
    ms = time.time_ns() // 1_000_000 if at_ms is None else at_ms
    return crockford((ms & _MS) << 80 | _eighty_bits())


def crockford(value: int) -> str:
    """128 bits (of a ULID, or of a UUIDv7, which begins with its time as well) as 26 characters."""
    return "".join([_PAIRS[value >> shift & 1023] for shift in _SHIFTS])


def event_id() -> str:
    """Identity of one event, constant over every delivery attempt: ``evt_`` + ULID."""
    return f"evt_{ulid()}"
