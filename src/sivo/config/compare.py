"""Differences between two states of a chain: key by key, and field by field within a resource."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sivo.audit.chain import ChangeRecord
from sivo.config.defaults import halves, said
from sivo.config.registry import KEYS
from sivo.config.resolve import Resolver
from sivo.config.types import REDACTED


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[ChangeRecord]:
    """What leads from one state (target -> value) to another, in the order of the targets."""
    return [
        ChangeRecord(target, before.get(target), after.get(target))
        for target in sorted(before.keys() | after.keys())
        if before.get(target) != after.get(target)
    ]


def shown(records: Sequence[ChangeRecord], role: str) -> list[dict[str, Any]]:
    """Changes as JSON, for ``role``: what happens to which key or resource, with every field that differs."""
    return [one for record in records if (one := _shown(record, role)) is not None]


def _shown(record: ChangeRecord, role: str) -> dict[str, Any] | None:
    found: dict[str, Any] = {"target": record.target, "action": _action(record)}
    head, _, rest = record.target.partition("/")
    if head == "key":
        level, target, name = rest.split("/", 2)
        key = KEYS.get(name)
        if key is not None and role not in key.read_roles:
            return None
        found |= {"key": name, "scope": f"{level}:{target}" if target else level}
        return found | {"before": _value(record.before), "after": _value(record.after)}
    if head == "default":
        was, now = halves(record.after)
        return found | {"key": rest, "scope": head, "before": said(was), "after": said(now)}
    body = (record.after or record.before)["body"]
    called = next((body[field] for field in ("name", "number", "email", "url") if body.get(field)), None)
    fields = [
        {"field": path, "before": old, "after": new}
        for path, old, new in leaves(_flat(record.before), _flat(record.after))
    ]
    return found | {"kind": head, "id": rest, "name": called, "fields": fields}


def _action(record: ChangeRecord) -> str:
    return "add" if record.before is None else "remove" if record.after is None else "change"


def _value(stored: Any) -> Any:
    """A key's value, with its lock when it has one."""
    if stored is None:
        return None
    return {"value": stored["value"], "locked": True} if stored["locked"] else stored["value"]


def _flat(record: Any) -> Any:
    """Body and fingerprints of the secrets as one mapping; nothing for a resource that is not there."""
    if record is None:
        return {}
    secrets = {name: f"{REDACTED} {fingerprint}" for name, fingerprint in record["secrets"].items()}
    return {**record["body"], **secrets}


def leaves(before: Any, after: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(path, before, after) of everything that differs, as deep as objects and lists go."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in [*before, *(name for name in after if name not in before)]:
            yield from leaves(before.get(name), after.get(name), f"{path}.{name}" if path else str(name))
    elif isinstance(before, list) and isinstance(after, list):
        for index in range(max(len(before), len(after))):
            old = before[index] if index < len(before) else None
            new = after[index] if index < len(after) else None
            yield from leaves(old, new, f"{path}[{index}]")
    elif before != after:
        yield path, before, after


def effective_differences(before: Resolver, after: Resolver, role: str) -> list[dict[str, Any]]:
    """Keys whose effective value or origin is not the same, for ``role``."""
    found = []
    for name, key in KEYS.items():
        old, new = before.effective(name), after.effective(name)
        if role in key.read_roles and (old.value, old.source) != (new.value, new.source):
            values = (REDACTED, REDACTED) if key.secret else (old.value, new.value)
            found.append({"key": name, "before": values[0], "after": values[1], "from": old.source, "to": new.source})
    return found
