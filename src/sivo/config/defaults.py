"""Declared defaults as JSON, and those of the past: what a key's default was before a release changed it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sivo.config.key import ByPlan, Default, Inputs, Static

#: How the ledger names a default: ``default/<key>``.
TARGET = "default/"
#: Where such a record keeps the default of before.
WAS = "was"


def record_of(default: Default) -> dict[str, Any]:
    """A declared default as it is recorded: its value, its values by plan, or the words of a computed one."""
    match default:
        case Static(value):
            return {"value": value}
        case ByPlan(values):
            return {"by_plan": dict(values)}
    return {"computed": default.how}


def said(record: Mapping[str, Any] | None) -> Any:
    """A recorded default for people."""
    return next(iter(record.values())) if record else None


def halves(changed: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(what it was, what it is), from the ledger's record of a changed default."""
    return dict(changed[WAS]), {part: value for part, value in changed.items() if part != WAS}


@dataclass(frozen=True, slots=True)
class DefaultChange:
    """A release gave a key another default; ``before`` and ``after`` as :func:`record_of` has them."""

    key: str
    before: dict[str, Any]
    after: dict[str, Any]
    author: str
    at: datetime
    reason: str
    seq: int

    def told(self) -> dict[str, Any]:
        """As JSON: what an explanation says of it."""
        origin = {"author": self.author, "at": self.at.isoformat(), "reason": self.reason, "version": self.seq}
        return {**origin, "before": said(self.before), "after": said(self.after)}


@dataclass(frozen=True, slots=True)
class Defaults:
    """Which release the defaults of a moment come from, and what those were that have been changed since."""

    #: key -> the change that made its default what it was at that moment.
    changed: Mapping[str, DefaultChange] = field(default_factory=dict)
    #: key -> its default at that moment, where a later release has another one.
    then: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def at(cls, changes: Sequence[DefaultChange], moment: datetime | None = None) -> Defaults:
        """From all ``changes``, oldest first, those of a moment (None: now)."""
        changed: dict[str, DefaultChange] = {}
        then: dict[str, Mapping[str, Any]] = {}
        for one in changes:
            if moment is None or one.at <= moment:
                changed[one.key] = one
            else:
                then.setdefault(one.key, one.before)
        return cls(changed, then)

    def value(self, key: str, inputs: Inputs) -> tuple[bool, Any]:
        """(whether it is known to be another one than today's, the value). How one was computed is not kept."""
        record = self.then.get(key)
        if record is None or "computed" in record:
            return False, None
        return True, record["value"] if "value" in record else record["by_plan"].get(inputs.plan)


NO_DEFAULTS = Defaults()
