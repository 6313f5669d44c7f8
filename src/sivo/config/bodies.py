"""From what somebody sent to the body of a resource: secrets split off, model checked, errors named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from sivo.base.errors import SivoError
from sivo.config.kinds import ResourceKind, SecretField, Unique


def split_secrets(kind: ResourceKind, sent: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(plain fields, secret fields) of what was sent."""
    names = {one.field for one in kind.secrets}
    plain = {name: value for name, value in sent.items() if name not in names}
    return plain, {name: value for name, value in sent.items() if name in names}


def check_secret(kind: ResourceKind, secret: SecretField, value: Any) -> str:
    """A secret's text within its bounds; the error does not repeat it."""
    if not isinstance(value, str) or not secret.min_length <= len(value) <= secret.max_length or "\x00" in value:
        raise SivoError(
            "VALIDATION_FAILED",
            f"{kind.name}.{secret.field} must be a string of {secret.min_length} to {secret.max_length} characters",
            where=f"{kind.name}.{secret.field}",
        )
    return value


def validated(kind: ResourceKind, plain: Mapping[str, Any]) -> dict[str, Any]:
    """The body in normal form as JSON values; VALIDATION_FAILED names every wrong field, never its value."""
    try:
        return kind.model.model_validate(dict(plain)).model_dump(mode="json")
    except ValidationError as error:
        faults = [
            {"where": ".".join([kind.name, *map(str, one["loc"])]), "message": one["msg"]}
            for one in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        first = faults[0]
        raise SivoError(
            "VALIDATION_FAILED",
            f"{first['where']}: {first['message']}",
            where=first["where"],
            remedy="see GET /api/openapi.json",
            details={"errors": faults[:50]},
        ) from None


def name_of(unique: Unique, body: Mapping[str, Any]) -> str | None:
    """The value that has to be unique, None when the body does not set it."""
    if body.get(unique.fields[0]) is None:
        return None
    return "|".join("" if body.get(field) is None else str(body[field]) for field in unique.fields)


def names_of(kind: ResourceKind, body: Mapping[str, Any] | None) -> dict[Unique, str]:
    """Every unique name of a body (none for a body that is not there)."""
    if body is None:
        return {}
    found = {unique: name_of(unique, body) for unique in kind.unique}
    return {unique: name for unique, name in found.items() if name is not None}
