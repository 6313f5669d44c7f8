"""A body for an operation, from its schema: the smallest that it takes, with the other tenant's ids in every place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sivo.isolation.canaries import Canary

#: Fields whose form the schema tells by a pattern or not at all.
_FIELDS: dict[str, Any] = {
    "to": "201",
    "digits": "1",
    "extension": "201",
    "number": "299",
    "email": "intruder@canary.example",
    "password": "an honest long passphrase 77",
    "current": "an honest long passphrase 77",
    "document": "format: 1\n",
    "code": "000000",
    "reason": "isolation audit",
    "url": "https://canary.example/intruder",
    "scopes": ["config:read"],
}
_DEPTH = 6


def sample(document: Mapping[str, Any], operation: Mapping[str, Any], owner: Canary) -> Any:
    """The body, None for an operation that takes none. A patch without a schema gets an empty object."""
    content = operation.get("requestBody", {}).get("content", {})
    for media in content.values():
        return _value(document, media.get("schema", {}), owner, "", _DEPTH)
    return {} if "patch" in operation.get("operationId", "") else None


def _value(document: Mapping[str, Any], schema: Mapping[str, Any], owner: Canary, name: str, depth: int) -> Any:
    if "$ref" in schema:
        target: Any = document
        for part in schema["$ref"].lstrip("#/").split("/"):
            target = target[part]
        return _value(document, target, owner, name, depth)
    if name in _FIELDS:
        return _FIELDS[name]
    for word in ("anyOf", "oneOf", "allOf"):
        if word in schema:
            return _value(document, schema[word][0], owner, name, depth)
    if "const" in schema or "enum" in schema:
        return schema["const"] if "const" in schema else schema["enum"][0]
    return _plain(document, schema, owner, name, depth)


def _plain(document: Mapping[str, Any], schema: Mapping[str, Any], owner: Canary, name: str, depth: int) -> Any:
    kind = schema.get("type")
    if kind == "object" or "properties" in schema:
        return _object(document, schema, owner, depth)
    if kind == "array":
        wanted = schema.get("minItems", 0) if depth else 0
        return [_value(document, schema.get("items", {}), owner, name, depth - 1) for _ in range(wanted)]
    if kind in ("integer", "number"):
        return schema.get("minimum", 1)
    if kind == "boolean":
        return False
    if schema.get("format") == "uuid":
        return _foreign(owner, name)
    return "intruder"[: schema.get("maxLength", 8)]


def _object(document: Mapping[str, Any], schema: Mapping[str, Any], owner: Canary, depth: int) -> dict[str, Any]:
    required = set(schema.get("required", ()))
    found = {}
    for name, of in schema.get("properties", {}).items():
        # What refers to something is tried with the other tenant's, required or not.
        refers = "'uuid'" in str(of) and name not in ("provider_id", "scope_id")
        if depth and (name in required or refers):
            found[name] = _value(document, of, owner, name, depth - 1)
    return found


def _foreign(owner: Canary, name: str) -> str:
    """The owner's id for a field that refers to something."""
    plurals = {"trunk": "trunks", "user": "users", "agent": "ai-agents"}
    return owner.ids.get(plurals.get(name, name)) or owner.ids["extensions"]
