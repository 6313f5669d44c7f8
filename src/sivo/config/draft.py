"""A change-set before it is written: changes go in one by one, are checked, and come out as before and after.

Pure but for the kinds' own checks; what the database holds was read before (:class:`Base`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sivo.audit.chain import ChangeRecord
from sivo.base.errors import SivoError, register
from sivo.base.ids import uuid7
from sivo.base.settings import Settings
from sivo.config import registry
from sivo.config.bodies import check_secret, split_secrets, validated
from sivo.config.change import Author, Change, Create, Delete, Replace, Scope, SetKey, Update, Warned
from sivo.config.key import Level
from sivo.config.kinds import KINDS, PLATFORM_ID, ResourceKind
from sivo.config.merge import merge_patch
from sivo.config.resolve import RANK, Stored
from sivo.config.state import Resource, TenantRow
from sivo.config.types import PLANS

SCOPE_REFUSED = register("CONFIG_SCOPE_REFUSED", 422)
LOCKED = register("CONFIG_LOCKED", 409)
SLUG = "tenant.slug"
_TENANT_KIND = "tenant"
_WEBHOOK_KIND = "webhook_endpoint"
#: Fields of a webhook endpoint that hold the value of a key at that endpoint.
ENDPOINT_FIELDS = {
    "webhooks.signing_secret": "secret",
    "webhooks.retry_max_attempts": "retry_max_attempts",
    "webhooks.timeout_ms": "timeout_ms",
}


@dataclass(frozen=True, slots=True)
class Base:
    """What was there before, read under the lock of the chain's head."""

    tenant_id: UUID
    tenant: TenantRow | None
    stored: tuple[Stored, ...]
    resources: Mapping[UUID, Resource]
    settings: Settings
    fingerprint: Callable[[str], str]


@dataclass(slots=True)
class DraftResource:
    """One resource in the making. ``body`` None = deleted."""

    kind: ResourceKind
    id: UUID
    before: Resource | None
    body: dict[str, Any] | None
    secrets: dict[str, str]
    writes: dict[str, str] = field(default_factory=dict, repr=False)
    removals: set[str] = field(default_factory=set)
    generated: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def target(self) -> str:
        """How the ledger names it."""
        return f"{self.kind.name}/{self.id}"

    def after(self) -> dict[str, Any] | None:
        """As the ledger will hold it."""
        return None if self.body is None else {"body": self.body, "secrets": self.secrets}

    def changed(self) -> bool:
        """Whether anything is different, secrets included."""
        return self.after() != (self.before.record() if self.before else None)


@dataclass(slots=True)
class DraftKey:
    """One key at one scope. ``after`` None = the override is gone."""

    key: str
    scope: Scope
    before: dict[str, Any] | None
    after: dict[str, Any] | None

    @property
    def target(self) -> str:
        """How the ledger names it."""
        return f"key/{self.scope.level}/{self.scope.target}/{self.key}"


class Draft:
    """Collects changes on a :class:`Base` for one author."""

    def __init__(self, base: Base, author: Author) -> None:
        self.base = base
        self.author = author
        self.keys: dict[tuple[Scope, str], DraftKey] = {}
        self.resources: dict[UUID, DraftResource] = {}
        self.tenant_body: dict[str, Any] | None = base.tenant.body() if base.tenant else None
        self.ids: list[UUID] = []
        #: What rooms have to say about it; filled once everything is checked.
        self.warnings: tuple[Warned, ...] = ()

    # --- one change at a time ------------------------------------------------------------------------------------

    def add(self, change: Change) -> None:
        """Check one change by itself and take it in."""
        match change:
            case Create():
                self._create(change)
            case Update():
                self._update(change)
            case Replace():
                self._replace(change)
            case Delete():
                self._delete(change)
            case SetKey(key, value, scope, locked):
                self._key(key, scope, value, locked)
            case _:
                self._key(change.key, change.scope, None, False)

    def _key(self, name: str, scope: Scope, value: Any, locked: bool | None) -> None:
        key = registry.get(name)
        self._may(key.write_roles, name)
        if value is not None:
            value = registry.check(name, value)
        if scope.level is Level.ENDPOINT and Level.ENDPOINT in key.scopes:
            self._endpoint_key(name, scope, value)
            return
        self._check_scope(name, scope, key.scopes)
        before = self._stored(scope, name)
        after: dict[str, Any] | None = None
        if value is not None:
            kept = bool(before and before["locked"])
            after = {"value": value, "locked": kept if locked is None else locked}
        if after is not None and after != before:
            self._check_lock(name, scope)
        self.keys[scope, name] = DraftKey(name, scope, before, after)

    def _check_lock(self, name: str, scope: Scope) -> None:
        """Refuse a value that would have no effect, since a level above has locked the key."""
        plan = self.tenant_body["plan"] if self.tenant_body and self.base.tenant_id != PLATFORM_ID else scope.target
        for one in self.stored():
            applies = one.level is not Level.PLAN or one.target == plan
            if one.key == name and one.locked and applies and RANK[one.level] < RANK[scope.level]:
                raise SivoError(
                    LOCKED,
                    f"{name} is locked at {one.source}; a value at {scope} would have no effect",
                    where=name,
                    remedy=f"ask for the lock at {one.source} to be taken off",
                    details={"locked_at": one.source, "value": one.value, "author": one.author, "reason": one.reason},
                )

    def _endpoint_key(self, name: str, scope: Scope, value: Any) -> None:
        try:
            endpoint = UUID(scope.target)
        except ValueError:
            raise SivoError(SCOPE_REFUSED, f"{scope} names no webhook endpoint", where=name) from None
        if value is not None:
            self._check_lock(name, scope)
        self._update(Update(_WEBHOOK_KIND, endpoint, {ENDPOINT_FIELDS[name]: value}))

    def _check_scope(self, name: str, scope: Scope, allowed: tuple[Level, ...]) -> None:
        def refuse(message: str) -> SivoError:
            levels = ", ".join(allowed) or "none; it is a view"
            return SivoError(SCOPE_REFUSED, f"{name}: {message}", where=name, remedy=f"it may be set at: {levels}")

        if scope.level not in allowed:
            raise refuse(f"cannot be set at {scope}")
        platform = scope.level in (Level.PLATFORM, Level.PLAN)
        if platform != (self.base.tenant_id == PLATFORM_ID):
            raise refuse(f"{scope} is {'not ' if platform else ''}for the platform itself")
        if not platform:
            self._tenant_is_there()
        if platform and self.author.role != "superadmin":
            raise SivoError("INSUFFICIENT_ROLE", f"only a superadmin sets values at {scope}", where=name)
        if scope.level is Level.PLAN and scope.target not in PLANS:
            raise refuse(f"there is no plan {scope.target[:40]!r}")
        if scope.level is Level.ORG:
            raise refuse(f"no Salesforce org {scope.target[:40]!r} is connected")
        if scope.level in (Level.PLATFORM, Level.TENANT) and scope.target:
            raise refuse(f"the scope {scope.level} takes no target")

    def _create(self, change: Create) -> None:
        kind = self._kind(change.kind)
        if kind.name == _TENANT_KIND:
            self._create_tenant(kind, change)
            return
        self._tenant_is_there()
        resource_id = change.id or uuid7()
        if resource_id in self.resources or resource_id in self.base.resources:
            raise SivoError("ALREADY_EXISTS", f"there is a resource with the id {resource_id}", where=kind.name)
        plain, secrets = split_secrets(kind, change.body)
        draft = DraftResource(kind, resource_id, None, validated(kind, plain), {})
        for secret in kind.secrets:
            if secrets.get(secret.field) is None and secret.generate is not None:
                draft.generated[secret.field] = secrets[secret.field] = secret.generate()
        self._take_secrets(draft, secrets)
        _required(draft)
        self.resources[resource_id] = draft
        self.ids.append(resource_id)

    def _update(self, change: Update) -> None:
        kind = self._kind(change.kind)
        if kind.name == _TENANT_KIND:
            self._update_tenant(kind, change)
            return
        draft = self._known(kind, change.id, change.if_version)
        assert draft.body is not None
        plain, secrets = split_secrets(kind, change.patch)
        self._settle(draft, validated(kind, merge_patch(draft.body, plain)), secrets)

    def _replace(self, change: Replace) -> None:
        kind = self._kind(change.kind)
        draft = self._known(kind, change.id, None)
        plain, secrets = split_secrets(kind, change.body)
        self._settle(draft, validated(kind, plain), secrets)

    def _settle(self, draft: DraftResource, body: dict[str, Any], secrets: dict[str, Any]) -> None:
        """Give ``draft`` its new body, if what may not change stays as it is."""
        kind = draft.kind
        assert draft.body is not None
        for secret in kind.secrets:
            moved = secret.host is not None and body.get(secret.host) != draft.body.get(secret.host)
            if moved and secret.field in draft.secrets and secret.field not in secrets:
                raise SivoError(
                    "VALIDATION_FAILED",
                    f"{kind.name}.{secret.field} was entered for another {secret.host}",
                    where=f"{kind.name}.{secret.field}",
                    remedy=f"send {secret.field} again together with {secret.host}, or null to remove it",
                )
        for name in kind.immutable:
            if body[name] != draft.body[name]:
                raise SivoError(
                    "VALIDATION_FAILED", f"{kind.name}.{name} cannot be changed", where=f"{kind.name}.{name}"
                )
        draft.body = body
        self._take_secrets(draft, secrets)
        _required(draft)

    def _delete(self, change: Delete) -> None:
        kind = self._kind(change.kind)
        if kind.name == _TENANT_KIND:
            raise SivoError(
                "VALIDATION_FAILED", "a tenant is not deleted, it is suspended", remedy='set status to "suspended"'
            )
        draft = self._known(kind, change.id, change.if_version)
        draft.removals |= set(draft.secrets)
        draft.body, draft.secrets, draft.writes = None, {}, {}

    # --- the tenant itself ---------------------------------------------------------------------------------------

    def _create_tenant(self, kind: ResourceKind, change: Create) -> None:
        if self.base.tenant is not None:
            raise SivoError("ALREADY_EXISTS", f"there is a tenant with the id {self.base.tenant_id}", where="tenant")
        if change.id not in (None, self.base.tenant_id):
            raise SivoError("VALIDATION_FAILED", "a tenant is created in its own chain", where="tenant.id")
        self.tenant_body = validated(kind, change.body)
        self.ids.append(self.base.tenant_id)
        if self.tenant_body["slug"] is not None:
            self._slug(self.tenant_body["slug"])

    def _update_tenant(self, kind: ResourceKind, change: Update) -> None:
        tenant = self._tenant_is_there()
        if change.id != self.base.tenant_id or self.base.tenant is None:
            raise SivoError("NOT_FOUND", f"there is no tenant {change.id}", where="tenant")
        if change.if_version not in (None, self.base.tenant.version):
            raise _stale("tenant", change.id, self.base.tenant.version)
        self.tenant_body = validated(kind, merge_patch(tenant, change.patch))
        if "slug" in change.patch:
            self._slug(change.patch["slug"])

    def _slug(self, value: str | None) -> None:
        scope = Scope(Level.TENANT)
        after = None if value is None else {"value": registry.check(SLUG, value), "locked": False}
        self.keys[scope, SLUG] = DraftKey(SLUG, scope, self._stored(scope, SLUG), after)

    # --- reading the draft ---------------------------------------------------------------------------------------

    def stored(self) -> list[Stored]:
        """Every stored value as it will be."""
        kept = [one for one in self.base.stored if (Scope(one.level, one.target), one.key) not in self.keys]
        new = [
            Stored(one.key, one.scope.level, one.after["value"], one.scope.target, one.after["locked"])
            for one in self.keys.values()
            if one.after is not None
        ]
        return kept + new

    def records(self) -> list[ChangeRecord]:
        """What the ledger will say; without anything that stays as it is."""
        found: list[ChangeRecord] = []
        before = self.base.tenant.body() if self.base.tenant else None
        if self.tenant_body is not None and self.tenant_body != before:
            target = f"{_TENANT_KIND}/{self.base.tenant_id}"
            found.append(ChangeRecord(target, _record(before), _record(self.tenant_body)))
        found += [
            ChangeRecord(one.target, one.before, one.after) for one in self.keys.values() if one.before != one.after
        ]
        found += [
            ChangeRecord(one.target, one.before.record() if one.before else None, one.after())
            for one in self.resources.values()
            if one.changed()
        ]
        return found

    def _stored(self, scope: Scope, name: str) -> dict[str, Any] | None:
        for one in self.base.stored:
            if one.key == name and one.level == scope.level and one.target == scope.target:
                return {"value": one.value, "locked": one.locked}
        return None

    def _kind(self, name: str) -> ResourceKind:
        kind = KINDS.get(name)
        if kind is None:
            raise SivoError("NOT_FOUND", f"there is no kind of resource {name[:40]!r}")
        self._may(kind.write_roles, kind.name)
        if self.base.tenant_id == PLATFORM_ID and kind.name != "user":
            raise SivoError(SCOPE_REFUSED, f"the platform itself has no {kind.name}", where=kind.name)
        return kind

    def _may(self, roles: tuple[str, ...], what: str) -> None:
        if roles and self.author.role not in roles:
            raise SivoError(
                "INSUFFICIENT_ROLE",
                f"role {self.author.role} may not change {what}",
                where=what,
                remedy=f"ask somebody with one of the roles {', '.join(roles)}",
            )

    def _tenant_is_there(self) -> dict[str, Any]:
        if self.tenant_body is None:
            raise SivoError("NOT_FOUND", f"there is no tenant {self.base.tenant_id}", where="tenant")
        return self.tenant_body

    def _known(self, kind: ResourceKind, resource_id: UUID, if_version: int | None) -> DraftResource:
        draft = self.resources.get(resource_id)
        if draft is None:
            before = self.base.resources.get(resource_id)
            if before is None or before.kind != kind.name:
                raise SivoError("NOT_FOUND", f"there is no {kind.name} {resource_id}", where=kind.name)
            if if_version not in (None, before.version):
                raise _stale(kind.name, resource_id, before.version)
            draft = DraftResource(kind, resource_id, before, dict(before.body), dict(before.secrets))
            self.resources[resource_id] = draft
        if draft.body is None or draft.kind is not kind:
            raise SivoError("NOT_FOUND", f"there is no {kind.name} {resource_id}", where=kind.name)
        return draft

    def _take_secrets(self, draft: DraftResource, sent: Mapping[str, Any]) -> None:
        for secret in draft.kind.secrets:
            if secret.field not in sent:
                continue
            value = sent[secret.field]
            if value is None:
                draft.removals.add(secret.field)
                draft.secrets.pop(secret.field, None)
                draft.writes.pop(secret.field, None)
                continue
            text = check_secret(draft.kind, secret, value)
            draft.writes[secret.field] = text
            draft.secrets[secret.field] = self.base.fingerprint(text)
            draft.removals.discard(secret.field)


def _required(draft: DraftResource) -> None:
    for secret in draft.kind.secrets:
        if secret.required and secret.field not in draft.secrets:
            where = f"{draft.kind.name}.{secret.field}"
            raise SivoError("VALIDATION_FAILED", f"{where} is required", where=where)


def _record(body: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if body is None else {"body": body, "secrets": {}}


def _stale(kind: str, resource_id: UUID, version: int) -> SivoError:
    return SivoError(
        "VERSION_CONFLICT",
        f"{kind} {resource_id} was changed meanwhile",
        where=kind,
        remedy="read it again and repeat the change",
        details={"version": version},
    )
