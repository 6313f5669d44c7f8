"""From a document (see :mod:`sivo.config.export`) to the change-set that makes a tenant so.

A section that the document does not have is left alone; one that it has is complete: what is missing in it goes.
A resource is found by its id, and without one by its unique name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

from sivo.base.errors import SivoError
from sivo.config import registry
from sivo.config.bodies import name_of, validated
from sivo.config.change import Change, Create, Delete, Replace, SetKey, UnsetKey
from sivo.config.export import FORMAT, SECRET, kinds
from sivo.config.key import Level
from sivo.config.kinds import ResourceKind
from sivo.config.renamed import current
from sivo.config.resolve import Stored
from sivo.config.state import Resource
from sivo.config.yaml_text import load

#: Fields by which a resource without an id is known where its kind has no unique name.
_CALLED = ("name", "url")


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed document: ``keys`` and ``resources`` (by plural) are None where the section is absent."""

    keys: Mapping[str, Any] | None
    resources: Mapping[str, Sequence[Mapping[str, Any]]] | None


def parse(text: str) -> Document:
    """The document in ``text``. Raises VALIDATION_FAILED naming the place."""
    found = load(text)
    if not isinstance(found, dict):
        raise _wrong("document", "it is not a mapping", "start with `format: 1`")
    if found.get("format") != FORMAT:
        raise _wrong("format", f"{str(found.get('format'))[:20]!r} is not known here", f"use format {FORMAT}")
    unknown = sorted(found.keys() - {"format", "keys", "resources"})
    if unknown:
        raise _wrong(unknown[0], "there is no such section", "use keys and resources")
    keys, resources = found.get("keys"), found.get("resources")
    if keys is not None and not isinstance(keys, dict):
        raise _wrong("keys", "it is not a mapping of keys to values", "write `keys: {}` for none")
    if resources is not None:
        _check_resources(resources)
    return Document(keys, resources)


def _check_resources(resources: Any) -> None:
    if not isinstance(resources, dict):
        raise _wrong("resources", "it is not a mapping of kinds to lists", "write `resources: {}` for none")
    for plural, items in resources.items():
        if plural not in kinds():
            raise _wrong(f"resources.{plural[:40]}", "there is no such kind", f"use one of {', '.join(kinds())}")
        if not isinstance(items, list) or not all(isinstance(one, dict) for one in items):
            raise _wrong(f"resources.{plural}", "it is not a list of mappings", f"write `{plural}: []` for none")


def changes_to(
    document: Document, tenant_id: UUID, stored: Sequence[Stored], resources: Sequence[Resource]
) -> list[Change]:
    """What makes the tenant, whose values and resources are given, as ``document`` says."""
    changes: list[Change] = []
    if document.keys is not None:
        changes += _key_changes(document.keys, {one.key: one for one in stored if one.level is Level.TENANT})
    for plural, items in (document.resources or {}).items():
        kind = kinds()[plural]
        changes += _resource_changes(kind, items, tenant_id, [one for one in resources if one.kind == kind.name])
    return changes


def _key_changes(wanted: Mapping[str, Any], own: Mapping[str, Stored]) -> list[Change]:
    changes: list[Change] = []
    seen: set[str] = set()
    for old_name, sent in wanted.items():
        value, locked = split_lock(sent)
        name, value = current(old_name, value)
        value = registry.check(name, value)
        seen.add(name)
        now = own.get(name)
        if now is None or (now.value, now.locked) != (value, bool(locked)):
            changes.append(SetKey(name, value, locked=bool(locked)))
    return changes + [UnsetKey(name) for name in own if name not in seen]


def split_lock(sent: Any) -> tuple[Any, bool | None]:
    """(value, lock) of a value as it is sent: bare (the lock stays), or ``{"value": …, "locked": …}``."""
    if not isinstance(sent, Mapping):
        return sent, None
    if "value" not in sent or sent.keys() - {"value", "locked"} or not isinstance(sent.get("locked", False), bool):
        raise _wrong(
            "locked", "a value with its lock has the members value and locked", 'send {"value": …, "locked": true}'
        )
    return sent["value"], sent.get("locked", False)


def _resource_changes(
    kind: ResourceKind, items: Sequence[Mapping[str, Any]], tenant_id: UUID, there: Sequence[Resource]
) -> list[Change]:
    by_id = {one.id: one for one in there}
    by_name = {_identity(kind, one.body): one for one in there}
    changes: list[Change] = []
    seen: set[UUID] = set()
    for index, item in enumerate(items):
        where = f"resources.{kind.plural}[{index}]"
        body, references = _split(kind, item, where)
        body = validated(kind, body)
        id_ = _id(kind, item, body, tenant_id, by_name, where)
        if id_ in seen:
            raise _wrong(where, "it stands there twice", "give each one an id of its own")
        seen.add(id_)
        changes += _one(kind, id_, body, references, by_id.get(id_), where)
    return changes + [Delete(kind.name, one.id) for one in there if one.id not in seen]


def _one(
    kind: ResourceKind, id_: UUID, body: dict[str, Any], references: set[str], now: Resource | None, where: str
) -> list[Change]:
    generated = {secret.field for secret in kind.secrets if secret.generate is not None}
    held = set(now.secrets) if now else generated
    missing = sorted(references - held)
    if missing:
        raise _wrong(
            f"{where}.{missing[0]}",
            "the vault has no such secret",
            f"make the {kind.name} with its {missing[0]} over the API first, or leave the field out",
        )
    if now is None:
        return [Create(kind.name, body, id_)]
    return [Replace(kind.name, id_, body)] if now.body != body else []


def _split(kind: ResourceKind, item: Mapping[str, Any], where: str) -> tuple[dict[str, Any], set[str]]:
    """(body without id and secrets, secrets that are referred to)."""
    body, references = {name: value for name, value in item.items() if name != "id"}, set()
    for secret in kind.secrets:
        sent = body.pop(secret.field, None)
        if sent is None:
            continue
        if not isinstance(sent, Mapping) or list(sent) != [SECRET]:
            raise _wrong(f"{where}.{secret.field}", "a secret in a document is a reference", "never write its value")
        references.add(secret.field)
    return body, references


def _id(
    kind: ResourceKind,
    item: Mapping[str, Any],
    body: Mapping[str, Any],
    tenant_id: UUID,
    by_name: Mapping[str, Resource],
    where: str,
) -> UUID:
    if item.get("id") is not None:
        try:
            return UUID(str(item["id"]))
        except ValueError:
            raise _wrong(f"{where}.id", "it is not a UUID", "leave it out for a new one") from None
    name = _identity(kind, body)
    if not name:
        raise _wrong(where, "it has neither an id nor a name", "give it one of them")
    # The same for the same document, so that a plan and its apply speak of one resource.
    return by_name[name].id if name in by_name else uuid5(tenant_id, f"{kind.name}/{name}")


def _identity(kind: ResourceKind, body: Mapping[str, Any]) -> str:
    for unique in kind.unique:
        found = name_of(unique, body)
        if found is not None:
            return found
    return next((str(body[field]) for field in _CALLED if body.get(field)), "")


def _wrong(where: str, message: str, remedy: str) -> SivoError:
    return SivoError("VALIDATION_FAILED", f"{where}: {message}", where=where, remedy=remedy)
