"""JSON Schema (2020-12) of configuration documents, made from the declarations of the keys."""

from __future__ import annotations

from typing import Any

from sivo.config.key import Key
from sivo.config.registry import KEYS
from sivo.config.types import REDACTED


def key_schema(key: Key) -> dict[str, Any]:
    """What a value of ``key`` must be, with its help, default and life cycle."""
    default = key.default.describe()
    found: dict[str, Any] = {**key.type.schema(), "title": key.name}
    found["description"] = f"{key.help} Default: {default}. Takes effect: {key.when}."
    if key.deprecated:
        found["deprecated"] = True
    return found


def document_schema() -> dict[str, Any]:
    """The answer of ``GET /api/config``: flat, dotted keys; secrets redacted."""
    properties = {}
    for key in KEYS.values():
        shown = {"const": REDACTED} if key.secret else {"anyOf": [key.type.schema(), {"type": "null"}]}
        properties[key.name] = {**shown, "title": key.name, "description": key.help}
    return {
        "type": "object",
        "title": "Configuration",
        "properties": properties,
        "patternProperties": {r"^(secrets|jwt_keys)\..+$": {"const": REDACTED}},
        "additionalProperties": False,
    }


def patch_schema() -> dict[str, Any]:
    """The body of ``PATCH /api/config``: a value, null to remove the override, or a value with its lock."""
    properties: dict[str, Any] = {}
    for key in KEYS.values():
        if key.scopes:
            value = key_schema(key)
            locked = {
                "type": "object",
                "properties": {"value": key.type.schema(), "locked": {"type": "boolean"}},
                "required": ["value"],
                "additionalProperties": False,
            }
            properties[key.name] = {"anyOf": [value, {"type": "null"}, locked]}
    return {
        "type": "object",
        "title": "ConfigurationPatch",
        "description": "null removes an override, which is not the same as setting the default.",
        "properties": properties,
        "additionalProperties": False,
    }
