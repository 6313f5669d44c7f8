"""What a planned change-set touches: every key and field with its value before and after.

Two plans of the same changes touch the same exactly when nothing moved in between that they are about. A change of
another field of the same resource does not count; neither do secrets that will be generated when it is applied.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sivo.audit.canonical import canonical
from sivo.audit.chain import ChangeRecord
from sivo.config.compare import leaves
from sivo.config.draft import Draft

#: Stands for the fingerprint of a secret that is made up when the change is applied.
GENERATED = "generated"
#: (target, path, before, after).
Touch = tuple[str, str, Any, Any]


def masked(draft: Draft) -> list[ChangeRecord]:
    """What a draft changes, with the secrets that it made up left open: another draft makes up others."""
    generated = {one.target: one.generated for one in draft.resources.values() if one.generated}
    return [
        replace(one, after={**one.after, "secrets": {**one.after["secrets"], **dict.fromkeys(open_, GENERATED)}})
        if (open_ := generated.get(one.target)) and one.after is not None
        else one
        for one in draft.records()
    ]


def touched(records: Sequence[ChangeRecord]) -> list[Touch]:
    """Everything that ``records`` change, in a stable order."""
    found: list[Touch] = []
    for one in records:
        before, after = _flat(one.before), _flat(one.after)
        if before is None or after is None:
            found.append((one.target, "", before is not None, after is not None))
        found += [(one.target, path, old, new) for path, old, new in leaves(before or {}, after or {})]
    return sorted(found, key=lambda touch: touch[:2])


def digest(touches: Sequence[Touch]) -> str:
    """Names a plan by what it touches."""
    return hashlib.sha256(canonical([list(one) for one in touches])).hexdigest()


def moved(planned: Sequence[Touch], now: Sequence[Touch]) -> list[dict[str, Any]]:
    """What is different about the base: each place with its value as it was planned on and as it is."""
    then, there = {one[:2]: one[2:] for one in planned}, {one[:2]: one[2:] for one in now}
    return [
        {
            "target": place[0],
            "field": place[1],
            "planned_on": then[place][0] if place in then else None,
            "now": there[place][0] if place in there else None,
            "note": "" if place in then and place in there else _NOT_BOTH[place in then],
        }
        for place in sorted(then.keys() | there.keys())
        if then.get(place) != there.get(place)
    ]


#: By whether it was touched when it was planned.
_NOT_BOTH = {True: "it is so already, or not there any more", False: "it would be changed as well now"}


def _flat(record: Any) -> Any:
    if record is None or "body" not in record:
        return record
    return {**record["body"], "secrets": record["secrets"]}
