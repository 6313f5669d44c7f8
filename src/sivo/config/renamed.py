"""Keys that have another name now: what they were called, so that old exports and stored values still find their place.

A release that renames a key adds one row here, keeps the new declaration under ``keys/`` and gives the old name as
what it was. A release that changes a *default* only declares the new one: its first start writes the platform entry
that tells of it (see :mod:`sivo.config.releases`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


def _same(value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True)
class Renamed:
    """``name`` is the key's name of today; ``convert`` makes its value from one of the old key."""

    name: str
    release: str
    convert: Callable[[Any], Any] = _same


#: Old name -> what became of it.
RENAMED: Mapping[str, Renamed] = {}


def current(name: str, value: Any, renamed: Mapping[str, Renamed] | None = None) -> tuple[str, Any]:
    """Key and value under the names of today; both as they are when nothing was renamed."""
    table = RENAMED if renamed is None else renamed
    seen: set[str] = set()
    while name in table and name not in seen:
        seen.add(name)
        step = table[name]
        name, value = step.name, step.convert(value)
    return name, value
