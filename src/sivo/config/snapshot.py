"""What a call pins: every effective value with where it came from, known by the hash of its content.

A snapshot never changes; a change of configuration makes another one. It is stored once per content, so that a
call's trace can show years later which value came from which level. Reads are recorded by :class:`Reader`, because
of 40 values only a handful mattered to one call.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sivo.audit.canonical import canonical
from sivo.config.resolve import Effective

Read = tuple[str, Any, str]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Resolved values of one tenant for calls to one DID and agent. ``values`` and ``sources`` are by key."""

    tenant_id: UUID
    version: int
    values: Mapping[str, Any]
    sources: Mapping[str, Mapping[str, Any]]
    #: Spoken language of a call: the agent's own, else the DID's, else the tenant's locale; and which of them.
    language: str
    language_source: str
    hash: str = field(compare=False)
    #: Every value that somebody set, by key and least specific first (see ``Stored.told``); keys with none are absent.
    levels: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)

    @classmethod
    def make(
        cls,
        tenant_id: UUID,
        version: int,
        effective: Mapping[str, Effective],
        language: str,
        language_source: str,
        levels: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    ) -> Snapshot:
        """From effective values. The hash covers values and provenance, not the version."""
        values = {name: one.value for name, one in effective.items()}
        sources = {name: one.provenance() for name, one in effective.items()}
        told = dict(levels or {})
        content = {"values": values, "sources": sources, "language": [language, language_source], "levels": told}
        digest = hashlib.sha256(canonical(content)).hexdigest()
        return cls(tenant_id, version, values, sources, language, language_source, digest, told)

    def body(self) -> dict[str, Any]:
        """What is stored under the hash."""
        return {
            "values": dict(self.values),
            "sources": {name: dict(source) for name, source in self.sources.items()},
            "language": [self.language, self.language_source],
            "levels": {name: list(levels) for name, levels in self.levels.items()},
        }

    def read(self, key: str) -> Any:
        """One value, unrecorded; use a :class:`Reader` on a call."""
        return self.values[key]

    def level(self, key: str) -> str:
        """Where the value came from: ``default``, ``platform``, ``plan:pro``, ``tenant``, ``did:…``, ``agent:…``."""
        return str(self.sources[key]["source"])

    def reader(self) -> Reader:
        """A recording accessor for one call."""
        return Reader(self)


class Reader:
    """Gives values of a snapshot and remembers which were asked for, in the order of the first time."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._reads: dict[str, Read] = {}

    def read(self, key: str) -> Any:
        """The value of ``key``; KeyError for one that does not exist."""
        value = self.snapshot.values[key]
        if key not in self._reads:
            self._reads[key] = (key, value, self.snapshot.level(key))
        return value

    def language(self) -> str:
        """The spoken language of the call; recorded as ``call.language``."""
        self._reads.setdefault(
            "call.language", ("call.language", self.snapshot.language, self.snapshot.language_source)
        )
        return self.snapshot.language

    def reads(self) -> list[Read]:
        """(key, value, level) of everything that was read."""
        return list(self._reads.values())
