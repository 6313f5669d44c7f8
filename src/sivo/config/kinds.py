"""Kinds of resources a tenant can edit, declared by the rooms that own them (their ``resources.py``)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from sivo.identity.permissions import Permission, roles_of

if TYPE_CHECKING:
    from sivo.config.hooks import CheckContext

#: Tenant id under which everything that belongs to the platform itself is kept (RFC 9562 §5.9, nil UUID).
PLATFORM_ID = UUID(int=0)


class Body(BaseModel):
    """Base of every resource body: unknown fields are refused, strings are trimmed."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


@dataclass(frozen=True, slots=True)
class SecretField:
    """A field whose value lives in the vault; body and ledger hold only its fingerprint.

    ``generate`` makes a value when none is given at creation (answered once); ``host`` names the body field with the
    host or URL the secret is bound to.
    """

    field: str
    generate: Callable[[], str] | None = None
    host: str | None = None
    required: bool = False
    #: How long a value that was replaced stays valid beside the new one.
    overlap: timedelta | None = None
    min_length: int = 8
    max_length: int = 512


@dataclass(frozen=True, slots=True)
class Unique:
    """Values of ``fields`` (joined) are unique in ``space``: per tenant, or on the whole platform."""

    space: str
    fields: tuple[str, ...]
    platform_wide: bool = False


@dataclass(frozen=True, slots=True)
class Reference:
    """A place in a body that names another resource of the same tenant: ``find(body)`` gives (kind, id) or None."""

    field: str
    find: Callable[[Mapping[str, Any]], tuple[str, str] | None]


#: Checks what the model alone cannot; raises SivoError.
Check = Callable[["CheckContext", UUID, dict[str, Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ResourceKind:
    """One kind: ``name`` (in ledger and code), ``plural`` (in URLs), its model and its rules."""

    name: str
    plural: str
    model: type[Body]
    secrets: tuple[SecretField, ...] = ()
    unique: tuple[Unique, ...] = ()
    references: tuple[Reference, ...] = ()
    #: Further (field, kind, id) that a body names, where there may be many of them.
    further: Callable[[Mapping[str, Any]], Iterable[tuple[str, str, str]]] | None = None
    check: Check | None = None
    #: Run ``check`` on every resource of the kind again when the tenant itself changes (its plan, say).
    checked_with_tenant: bool = False
    #: Fields that keep the value of their creation.
    immutable: tuple[str, ...] = ()
    #: Who lists and reads it, and who changes it, over whichever route.
    read: Permission = Permission.RESOURCES_READ
    write: Permission = Permission.RESOURCES_WRITE
    #: Name of a secret in the vault, from resource id and body (default: ``<kind>/<id>/<field>``).
    secret_name: Callable[[str, Mapping[str, Any], str], str] | None = None

    @property
    def write_roles(self) -> tuple[str, ...]:
        """The roles that may change it."""
        return tuple(sorted(role.value for role in roles_of(self.write)))

    def named(self, body: Mapping[str, Any]) -> list[tuple[str, str, str]]:
        """(field, kind, id) of every resource of the same tenant that a body names."""
        single = [(one.field, *found) for one in self.references if (found := one.find(body)) is not None]
        return single + (list(self.further(body)) if self.further else [])

    def vault_name(self, resource_id: UUID, body: Mapping[str, Any], field: str) -> str:
        """Where the vault keeps secret ``field`` of one resource."""
        if self.secret_name is not None:
            return self.secret_name(str(resource_id), body, field)
        return f"{self.name}/{resource_id}/{field}"


#: name -> kind, filled by the rooms' ``resources.py`` (see :func:`load`).
KINDS: dict[str, ResourceKind] = {}


def register_kind(kind: ResourceKind) -> ResourceKind:
    """Add a kind to the register and return it; a name or plural is used once."""
    if kind.name in KINDS or any(kind.plural == other.plural for other in KINDS.values()):
        raise ValueError(f"resource kind {kind.name} is registered twice")
    KINDS[kind.name] = kind
    return kind


def uuid_reference(field: str, kind: str) -> Reference:
    """A reference by id in a top-level ``field``; an empty field refers to nothing."""

    def find(body: Mapping[str, Any]) -> tuple[str, str] | None:
        value = body.get(field)
        return (kind, str(value)) if value else None

    return Reference(field, find)
