"""Which refusals an operation of the OpenAPI document can be answered with: every status by name, no "default".

The statuses follow from what the operation takes (a token, an id, a body); the codes behind each of them come from the
register, so a client sees what it must be ready for. Nothing may be answered that does not stand here: the whole-API
tests hold every answer against the document.
"""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI

from sivo.api.problems import Problem
from sivo.base.errors import CODES

_METHODS = ("get", "put", "post", "patch", "delete")
#: Any request: nonsense in it, too many of it, or a platform that is not well.
_ALWAYS = (400, 422, 429, 500, 503)
#: What the configuration plane may say to a change.
_CHANGE = (409, 412, 413)
#: Another server was asked: a provider on trial, the endpoint of a webhook.
_OUTSIDE = (502, 504)
_OUTSIDE_PATHS = ("/api/providers/",)
#: The framework's own shapes of a refusal, which nobody gets.
_FOREIGN = ("HTTPValidationError", "ValidationError")
_SCHEMA = {"$ref": "#/components/schemas/Problem"}


def describe(app: FastAPI) -> None:
    """Let ``app`` document every refusal of every operation."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = plain()
            schemas = document["components"]["schemas"]
            for name in _FOREIGN:
                schemas.pop(name, None)
            schemas["Problem"] = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            for path, operations in document["paths"].items():
                for method, operation in operations.items():
                    if method in _METHODS:
                        _add(path, method, operation)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _add(path: str, method: str, operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    for status in sorted(set(_statuses(path, method))):
        if str(status) in responses and status != 422:
            continue  # the route says it better
        responses[str(status)] = {
            "description": _description(status),
            "content": {"application/problem+json": {"schema": _SCHEMA}},
        }


def _statuses(path: str, method: str) -> Iterator[int]:
    yield from _ALWAYS
    if path.startswith("/api/"):
        # A token can outlive its tenant, its user or its role; login and refresh take their own proofs.
        yield from (401, 403, 404)
    if method != "get":
        yield from _CHANGE
    if path.startswith(_OUTSIDE_PATHS):
        yield from _OUTSIDE


def _description(status: int) -> str:
    codes = sorted(code for code, of in CODES.items() if of == status)
    return f"{HTTPStatus(status).phrase}: {', '.join(codes)}."
