"""Rollback: the change-set that makes everything as it was after an earlier entry. History itself only grows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sivo.audit.chain import ChangeRecord
from sivo.config.change import Change, Create, Delete, Replace, Scope, SetKey, UnsetKey, Update
from sivo.config.compare import differences
from sivo.config.key import Level
from sivo.config.past import Picture


@dataclass(frozen=True, slots=True)
class WayBack:
    """``kept``: secrets that cannot be brought back, since the vault holds only today's; they stay as they are."""

    changes: tuple[Change, ...]
    kept: tuple[str, ...]


def way_back(now: Picture, then: Picture) -> WayBack:
    """Changes from ``now`` to ``then``."""
    changes: list[Change] = []
    kept: list[str] = []
    for one in differences(now.targets, then.targets):
        head, _, rest = one.target.partition("/")
        if head == "key":
            changes.append(_key(rest, one.after))
        elif head == "tenant":
            changes += _tenant(now.chain, one)
        elif head == "api_key":
            continue  # what was revoked does not come back, what was made since is not lost with a setting
        else:
            changes += _resource(head, UUID(rest), one)
            kept += _secrets(one)
    return WayBack(tuple(changes), tuple(kept))


def _key(place: str, value: Mapping[str, Any] | None) -> Change:
    level, target, name = place.split("/", 2)
    scope = Scope(Level(level), target)
    return UnsetKey(name, scope) if value is None else SetKey(name, value["value"], scope, value["locked"])


def _tenant(chain: UUID, one: ChangeRecord) -> Sequence[Change]:
    """Name, plan and status; the slug is a key and comes with the others."""
    if one.before is None or one.after is None:
        return []
    before, after = one.before["body"], one.after["body"]
    patch = {name: after[name] for name in ("name", "plan", "status") if after[name] != before[name]}
    return [Update("tenant", chain, patch)] if patch else []


def _resource(kind: str, id_: UUID, one: ChangeRecord) -> Sequence[Change]:
    if one.after is None:
        return [Delete(kind, id_)]
    if one.before is None:
        return [Create(kind, one.after["body"], id_)]
    if one.before["body"] != one.after["body"]:
        return [Replace(kind, id_, one.after["body"])]
    return []


def _secrets(one: ChangeRecord) -> list[str]:
    if one.after is None:
        return []
    now = one.before["secrets"] if one.before else {}
    then = one.after["secrets"]
    return [f"{one.target}/{name}" for name in sorted(now.keys() | then.keys()) if now.get(name) != then.get(name)]
