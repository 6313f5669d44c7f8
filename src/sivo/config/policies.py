"""How policies of several scopes become one decision; shared by recording and transcription.

The rules are the reference's: tenant-wide, DID, queue, agent (= a person), most specific wins field by field; a field
that no policy sets falls to the configuration key. ``active=false`` on a person beats any ``active=true``; with two
people on a call the stricter wins. No policy that applies means: not captured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

#: From the widest to the most specific.
SCOPES = ("tenant", "did", "queue", "agent")

T = TypeVar("T")


@dataclass(frozen=True)
class Policy:
    """One policy as it is stored: ``fields`` holds only what it sets."""

    id: str
    name: str
    scope: str
    scope_id: str
    active: bool
    fields: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_body(cls, id: str, body: Mapping[str, Any], names: Sequence[str]) -> Policy:
        """From the body of a policy resource; ``names`` are the fields that a decision may take from it."""
        return cls(
            id=id,
            name=str(body.get("name") or id),
            scope=str(body["scope"]),
            scope_id=str(body.get("scope_id") or ""),
            active=bool(body["active"]),
            fields={name: body[name] for name in names if body.get(name) is not None},
        )

    def rule(self) -> str:
        """How a decision names this policy."""
        target = f" {self.scope_id}" if self.scope_id else ""
        return f"policy {self.name} ({self.scope}{target})"


@dataclass(frozen=True)
class Parties:
    """Who and what a call has touched so far; empty = not (yet) known."""

    did: str = ""
    queue: str = ""
    people: tuple[str, ...] = ()

    def covers(self, policy: Policy) -> bool:
        """Whether ``policy`` applies to a call with these parties."""
        match policy.scope:
            case "tenant":
                return True
            case "did":
                return bool(self.did) and policy.scope_id == self.did
            case "queue":
                return bool(self.queue) and policy.scope_id == self.queue
            case "agent":
                return policy.scope_id in self.people
            case _:
                return False


@dataclass(frozen=True)
class Choice(Generic[T]):
    """A value and the rule that gave it."""

    value: T
    rule: str


def applicable(policies: Sequence[Policy], parties: Parties) -> list[Policy]:
    """The policies that apply, most specific first; within a scope in a stable order."""
    ordered = sorted(policies, key=lambda one: (-SCOPES.index(one.scope), one.id))
    return [one for one in ordered if parties.covers(one)]


def is_active(applied: Sequence[Policy]) -> Choice[bool]:
    """Whether to capture. ``applied`` comes from :func:`applicable`."""
    for policy in applied:
        if policy.scope == "agent" and not policy.active:
            return Choice(False, policy.rule())
    if not applied:
        return Choice(False, "no policy applies")
    return Choice(applied[0].active, applied[0].rule())


def pick(
    applied: Sequence[Policy],
    name: str,
    fallback: Choice[Any],
    stricter: Callable[[Sequence[Any]], Any] | None = None,
) -> Choice[Any]:
    """The value of one field: from the most specific policy that sets it, else ``fallback``.

    Two people's policies are of equal rank; ``stricter`` chooses between their values (for example ``min``).
    """
    if not applied:
        return fallback
    for scope in reversed(SCOPES):
        setting = [one for one in applied if one.scope == scope and name in one.fields]
        if not setting:
            continue
        if stricter is None or len(setting) == 1:
            return Choice(setting[0].fields[name], setting[0].rule())
        value = stricter([one.fields[name] for one in setting])
        winner = next(one for one in setting if one.fields[name] == value)
        return Choice(value, winner.rule())
    return fallback
