"""The hash chain, pure: what an entry is, how it is hashed, and what is wrong with a list of entries.

An entry is one canonical JSON document that names its chain, its number and the hash of its predecessor; its hash is
SHA-256 over that document, and the platform's Ed25519 key (RFC 8032) signs the hash. Whoever changes, drops or
reorders an entry breaks the chain; whoever rewrites the tail lacks the key; whoever cuts the tail off is behind the
checkpoint outside the database.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID

from sivo.audit.canonical import canonical

FORMAT = 1
#: What the first entry of every chain calls its predecessor.
GENESIS = bytes(32)
_SIGNED = b"sivo-ledger-v1\x00"


class Signer(Protocol):
    """Signs heads of chains with the platform's key."""

    @property
    def key_id(self) -> str: ...

    def sign(self, data: bytes) -> bytes: ...


class Verifier(Protocol):
    """Knows the platform's public keys, past ones included."""

    def verify(self, key_id: str, data: bytes, signature: bytes) -> bool: ...


@dataclass(frozen=True, slots=True)
class ChangeRecord:
    """One change: ``target`` is ``key/<scope>/<target>/<name>`` or ``<kind>/<id>``; None = not there."""

    target: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Link:
    """One entry as it is stored."""

    chain: UUID
    seq: int
    at: datetime
    canonical: str
    prev: bytes
    hash: bytes
    signature: bytes
    key_id: str


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that cannot be so in an untouched ledger."""

    chain: UUID
    seq: int
    what: str


def timestamp(at: datetime) -> str:
    """UTC with microseconds: ``2026-01-02T03:04:05.678901Z``."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def signed_bytes(hash_: bytes) -> bytes:
    """What the signature covers; the prefix keeps it from being a signature of anything else."""
    return _SIGNED + hash_


def link(
    chain: UUID,
    seq: int,
    prev: bytes,
    at: datetime,
    author: str,
    role: str,
    reason: str,
    changes: Sequence[ChangeRecord],
    signer: Signer,
) -> Link:
    """Make the ledger entry that follows ``prev``."""
    content = {
        "author": author,
        "role": role,
        "reason": reason,
        "changes": [{"target": one.target, "before": one.before, "after": one.after} for one in changes],
    }
    return seal(chain, seq, prev, at, content, signer)


def seal(chain: UUID, seq: int, prev: bytes, at: datetime, content: Mapping[str, Any], signer: Signer) -> Link:
    """Make the entry with this ``content`` that follows ``prev``, whatever the chain is about."""
    place = {"format": FORMAT, "chain": str(chain), "seq": seq, "at": timestamp(at), "prev": prev.hex()}
    encoded = canonical({**content, **place})
    digest = hashlib.sha256(encoded).digest()
    signature = signer.sign(signed_bytes(digest))
    return Link(chain, seq, at, encoded.decode(), prev, digest, signature, signer.key_id)


def check_link(one: Link, prev: bytes, seq: int, verifier: Verifier) -> list[Fault]:
    """What is wrong with one entry that should be number ``seq`` after ``prev``."""

    def fault(what: str) -> Fault:
        return Fault(one.chain, seq, what)

    faults: list[Fault] = []
    if one.seq != seq:
        return [fault(f"entry {seq} is missing, {one.seq} stands in its place")]
    if hashlib.sha256(one.canonical.encode()).digest() != one.hash:
        faults.append(fault("the content does not have the hash that is stored with it"))
    if one.prev != prev:
        faults.append(fault("it does not follow the entry before it"))
    if not verifier.verify(one.key_id, signed_bytes(one.hash), one.signature):
        faults.append(fault("its signature was not made by the platform's key"))
    faults += [fault(what) for what in _document_faults(one)]
    return faults


def _document_faults(one: Link) -> Iterable[str]:
    try:
        document = json.loads(one.canonical)
    except ValueError:
        return ["its content is not JSON"]
    if not isinstance(document, dict):
        return ["its content is not an entry"]
    expected = {
        "format": FORMAT,
        "chain": str(one.chain),
        "seq": one.seq,
        "at": timestamp(one.at),
        "prev": one.prev.hex(),
    }
    return [
        f"its column {name} says otherwise than its content"
        for name in expected
        if document.get(name) != expected[name]
    ]


def replay(state: dict[str, Any], one: Link) -> list[str]:
    """Apply one entry to ``state`` (target -> value); returns what its "before" contradicts."""
    contradictions = []
    for change in json.loads(one.canonical).get("changes", []):
        target = change["target"]
        if state.get(target) != change["before"]:
            contradictions.append(f"{target} was not what the entry says it was before")
        if change["after"] is None:
            state.pop(target, None)
        else:
            state[target] = change["after"]
    return contradictions
