"""What a change-set is made of, and what comes back: plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sivo.audit.chain import ChangeRecord
from sivo.audit.log import Action, Actor, AuditEntry
from sivo.config.key import Level


@dataclass(frozen=True, slots=True)
class Author:
    """Who does something: ``user:<uuid>``, ``local:<uid>``, and the role they act in.

    ``ip`` and ``user_agent`` are of the request; ``cross_tenant``: a superadmin at work in somebody else's tenant.
    ``person`` is who stands behind the name where that is somebody else: the owner of an API key.
    """

    name: str
    role: str
    email: str = ""
    ip: str = ""
    user_agent: str = ""
    cross_tenant: bool = False
    person: str = ""

    def outside(self) -> Author:
        """The same, at work on a tenant that is not theirs without naming it in a header."""
        return replace(self, cross_tenant=True)

    def did(
        self,
        action: Action,
        event: str,
        resource_type: str,
        resource_id: object,
        diff: Mapping[str, tuple[Any, Any]] | None = None,
        ledger: int | None = None,
    ) -> AuditEntry:
        """What :func:`sivo.audit.log.record` takes."""
        actor = Actor(self.name.removeprefix("user:"), self.email, self.role, self.ip, self.user_agent)
        return AuditEntry(action, event, resource_type, str(resource_id), actor, diff or {}, self.cross_tenant, ledger)

    @property
    def behind(self) -> str:
        """The person, for asking whether two authors are the same one."""
        return self.person or self.name


@dataclass(frozen=True, slots=True)
class Scope:
    """A level and, where it needs one, its target: plan name, org id, id of a webhook endpoint."""

    level: Level = Level.TENANT
    target: str = ""

    def __str__(self) -> str:
        return f"{self.level}:{self.target}" if self.target else str(self.level)


TENANT_SCOPE = Scope()


@dataclass(frozen=True, slots=True)
class SetKey:
    """Set a key at a scope; ``locked`` forbids more specific levels to override it (None: as it is)."""

    key: str
    value: Any = field(repr=False)
    scope: Scope = TENANT_SCOPE
    locked: bool | None = None


@dataclass(frozen=True, slots=True)
class UnsetKey:
    """Remove the override of a key at a scope; setting the default is something else."""

    key: str
    scope: Scope = TENANT_SCOPE


@dataclass(frozen=True, slots=True)
class Create:
    """Make a resource; secret fields stand in the body and end in the vault."""

    kind: str
    body: Mapping[str, Any] = field(repr=False)
    id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Update:
    """Change a resource by a JSON merge patch (RFC 7396); ``if_version`` is what the author has seen."""

    kind: str
    id: UUID
    patch: Mapping[str, Any] = field(repr=False)
    if_version: int | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove a resource and its secrets."""

    kind: str
    id: UUID
    if_version: int | None = None


@dataclass(frozen=True, slots=True)
class Replace:
    """Give a resource a whole new body; its secrets stay unless they stand in the body."""

    kind: str
    id: UUID
    body: Mapping[str, Any] = field(repr=False)


Change = SetKey | UnsetKey | Create | Update | Replace | Delete


@dataclass(frozen=True, slots=True)
class Warned:
    """Something that a change does beside what was asked for; it is told, and does not refuse the change."""

    code: str
    where: str
    message: str
    details: Mapping[str, Any] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """As JSON."""
        return {"code": self.code, "where": self.where, "message": self.message, "details": dict(self.details)}


@dataclass(frozen=True, slots=True)
class Entry:
    """A change-set as it was committed. ``changed`` is False when everything already was as asked for.

    ``ids`` holds the ids of created resources in the order of their changes, ``generated`` secrets that were made for
    them (target -> field -> value), to be shown once.
    """

    tenant_id: UUID
    seq: int
    at: datetime
    author: str
    reason: str
    changes: tuple[ChangeRecord, ...] = ()
    ids: tuple[UUID, ...] = ()
    generated: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    warnings: tuple[Warned, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether anything was written."""
        return bool(self.changes)
