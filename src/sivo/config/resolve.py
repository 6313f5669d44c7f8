"""From values set at several levels to one effective value per key, each with where it came from.

Pure: rows in, :class:`Effective` out. Most specific wins, unless a less specific level has locked its value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sivo.config.defaults import NO_DEFAULTS, Defaults
from sivo.config.key import Inputs, Level
from sivo.config.keys.ai import CALL_LANGUAGE
from sivo.config.registry import KEYS

#: From the least to the most specific.
ORDER = tuple(Level)
RANK = {level: rank for rank, level in enumerate(ORDER)}


@dataclass(frozen=True, slots=True)
class Stored:
    """One value as somebody set it. ``target`` names the plan, org, endpoint, DID or agent of its level."""

    key: str
    level: Level
    value: Any
    target: str = ""
    locked: bool = False
    author: str = ""
    at: datetime | None = None
    reason: str = ""
    seq: int = 0

    @property
    def source(self) -> str:
        """Level and target as people write them: ``tenant``, ``plan:pro``, ``did:…``."""
        return f"{self.level}:{self.target}" if self.target else str(self.level)

    def told(self) -> dict[str, Any]:
        """As JSON: what an explanation says of one level."""
        return {
            "level": str(self.level),
            "source": self.source,
            "value": self.value,
            "locked": self.locked,
            "author": self.author,
            "at": self.at.isoformat() if self.at else None,
            "reason": self.reason,
            "version": self.seq,
        }


@dataclass(frozen=True, slots=True)
class Effective:
    """The value in force and its provenance. ``level`` is ``default`` when nobody set it; ``how`` then says why."""

    key: str
    value: Any
    level: Level
    source: str
    author: str = ""
    at: datetime | None = None
    reason: str = ""
    how: str = ""

    def provenance(self) -> dict[str, Any]:
        """As JSON, without the value."""
        found: dict[str, Any] = {"level": str(self.level), "source": self.source}
        if self.level is Level.DEFAULT:
            found["how"] = self.how
        else:
            found |= {"author": self.author, "at": self.at.isoformat() if self.at else None, "reason": self.reason}
        return found


def winner(values: Iterable[Stored]) -> Stored | None:
    """The value that counts: the least specific locked one, else the most specific."""
    ordered = sorted(values, key=lambda one: RANK[one.level])
    locked = next((one for one in ordered if one.locked), None)
    return locked or (ordered[-1] if ordered else None)


class Resolver:
    """Effective values of one tenant (and, on a call, of one DID and agent), computed when asked for."""

    def __init__(
        self,
        inputs: Inputs,
        stored: Iterable[Stored],
        *,
        call_language: str = "",
        defaults: Defaults = NO_DEFAULTS,
    ) -> None:
        self.inputs = inputs
        #: Of which release the defaults are; those of the past are taken from here.
        self.defaults = defaults
        self._call_language = call_language
        self._by_key: dict[str, list[Stored]] = {}
        for one in stored:
            self._by_key.setdefault(one.key, []).append(one)
        self._done: dict[str, Effective] = {}

    def effective(self, name: str) -> Effective:
        """The effective value of key ``name``, which must exist."""
        known = self._done.get(name)
        if known is None:
            known = self._done[name] = self._resolve(name)
        return known

    def all(self) -> dict[str, Effective]:
        """Every key, in the order of the reference."""
        return {name: self.effective(name) for name in KEYS}

    def values(self) -> dict[str, Any]:
        """Every key's value alone."""
        return {name: self.effective(name).value for name in KEYS}

    def levels(self, name: str) -> list[Stored]:
        """Every value that somebody set for ``name``, least specific first."""
        found = self._by_key.get(name)
        return sorted(found, key=lambda one: RANK[one.level]) if found else []

    def default(self, name: str) -> Any:
        """What ``name`` would be if nobody had set it, everything else being as it is."""
        differed, past = self.defaults.value(name, self.inputs)
        return past if differed else KEYS[name].default.compute(self.inputs, self._lookup)

    def _lookup(self, name: str) -> Any:
        if name == CALL_LANGUAGE:
            return self._call_language or self.effective("tenant.default_locale").value
        return self.effective(name).value

    def _resolve(self, name: str) -> Effective:
        chosen = winner(self._by_key.get(name, ()))
        if chosen is not None:
            return Effective(name, chosen.value, chosen.level, chosen.source, chosen.author, chosen.at, chosen.reason)
        default = KEYS[name].default
        differed, past = self.defaults.value(name, self.inputs)
        if differed:
            return Effective(name, past, Level.DEFAULT, "default", how=str(past))
        return Effective(
            name, default.compute(self.inputs, self._lookup), Level.DEFAULT, "default", how=str(default.describe())
        )


def resolve(inputs: Inputs, stored: Iterable[Stored], *, call_language: str = "") -> Mapping[str, Effective]:
    """All effective values at once; see :class:`Resolver`."""
    return Resolver(inputs, stored, call_language=call_language).all()
