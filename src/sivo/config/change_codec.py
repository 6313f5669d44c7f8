"""Changes as JSON: what a change-set that waits is kept as, and what ``POST /api/changes`` takes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from sivo.base.ids import uuid7
from sivo.config import change as made
from sivo.config.change import Change
from sivo.config.key import Level


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class ScopeModel(_Model):
    """A level and its target (see ``?scope=``)."""

    level: Level = Level.TENANT
    target: Annotated[str, Field(max_length=100)] = ""


class SetModel(_Model):
    """Set a key."""

    do: Literal["set"]
    key: Annotated[str, Field(max_length=100)]
    value: Any
    scope: ScopeModel = ScopeModel()
    locked: bool | None = None


class UnsetModel(_Model):
    """Take an override back."""

    do: Literal["unset"]
    key: Annotated[str, Field(max_length=100)]
    scope: ScopeModel = ScopeModel()


class CreateModel(_Model):
    """Make a resource; an ``id`` is chosen when none is given."""

    do: Literal["create"]
    kind: Annotated[str, Field(max_length=40)]
    body: dict[str, Any]
    id: UUID | None = None


class UpdateModel(_Model):
    """Change a resource by a JSON merge patch."""

    do: Literal["update"]
    kind: Annotated[str, Field(max_length=40)]
    id: UUID
    patch: dict[str, Any]


class ReplaceModel(_Model):
    """Give a resource a whole new body."""

    do: Literal["replace"]
    kind: Annotated[str, Field(max_length=40)]
    id: UUID
    body: dict[str, Any]


class DeleteModel(_Model):
    """Remove a resource."""

    do: Literal["delete"]
    kind: Annotated[str, Field(max_length=40)]
    id: UUID


ChangeModel = Annotated[
    SetModel | UnsetModel | CreateModel | UpdateModel | ReplaceModel | DeleteModel, Field(discriminator="do")
]
_LIST: TypeAdapter[list[Any]] = TypeAdapter(list[ChangeModel])


def change_of(model: Any) -> Change:
    """The change that a model of the wire stands for."""
    match model:
        case SetModel():
            return made.SetKey(model.key, model.value, _scope(model.scope), model.locked)
        case UnsetModel():
            return made.UnsetKey(model.key, _scope(model.scope))
        case CreateModel():
            return made.Create(model.kind, model.body, model.id)
        case UpdateModel():
            return made.Update(model.kind, model.id, model.patch)
        case ReplaceModel():
            return made.Replace(model.kind, model.id, model.body)
    return made.Delete(model.kind, model.id)


def settled(changes: Sequence[Change]) -> tuple[Change, ...]:
    """The same changes with nothing left open that must be the same each time they are planned.

    New resources get their ids. Versions that an author had seen are left out: they were checked when the changes
    came in, and from then on what the changes touch is compared instead.
    """
    found: list[Change] = []
    for one in changes:
        match one:
            case made.Create(id=None, kind=kind) if kind != "tenant":
                found.append(replace(one, id=uuid7()))
            case made.Update() | made.Delete():
                found.append(replace(one, if_version=None))
            case _:
                found.append(one)
    return tuple(found)


def encode(changes: Sequence[Change]) -> bytes:
    """Changes as UTF-8 JSON, secrets included: to be sealed before it goes anywhere."""
    return json.dumps([_plain(one) for one in changes], ensure_ascii=False).encode()


def decode(text: bytes) -> tuple[Change, ...]:
    """What :func:`encode` made."""
    return tuple(change_of(one) for one in _LIST.validate_json(text))


def _plain(one: Change) -> dict[str, Any]:
    match one:
        case made.SetKey(key, value, scope, locked):
            return {"do": "set", "key": key, "value": value, "scope": _told(scope), "locked": locked}
        case made.UnsetKey(key, scope):
            return {"do": "unset", "key": key, "scope": _told(scope)}
        case made.Create(kind, body, id_):
            return {"do": "create", "kind": kind, "body": dict(body), "id": str(id_) if id_ else None}
        case made.Update(kind, id_, patch, _):
            return {"do": "update", "kind": kind, "id": str(id_), "patch": dict(patch)}
        case made.Replace(kind, id_, body):
            return {"do": "replace", "kind": kind, "id": str(id_), "body": dict(body)}
        case made.Delete(kind, id_, _):
            return {"do": "delete", "kind": kind, "id": str(id_)}


def _told(scope: made.Scope) -> dict[str, str]:
    return {"level": str(scope.level), "target": scope.target}


def _scope(model: ScopeModel) -> made.Scope:
    return made.Scope(model.level, model.target)
