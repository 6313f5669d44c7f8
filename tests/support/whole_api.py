"""The whole OpenAPI document under generated requests: no 5xx, and no status that the document does not name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.core.errors import SchemathesisError

#: These end the caller's session (a rollback may go back to before there was the caller), so they come last.
LAST = ("/api/config/rollback", "/api/auth/logout", "/api/auth/logout-all")


@dataclass
class Seen:
    """What came of it: requests by operation, and what was wrong."""

    requests: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    #: Requests that found nobody signed in, by operation: many of them would mean that nothing was tried.
    unknown: dict[str, int] = field(default_factory=dict)


def operations(document: Mapping[str, Any]) -> list[Any]:
    """Every operation of the document, those that end the session last."""
    schema = schemathesis.openapi.from_dict(dict(document))
    found = [result.ok() for result in schema.get_all_operations()]
    return sorted(found, key=lambda one: one.path in LAST)


def fuzz(operation: Any, base_url: str, headers: Mapping[str, str], examples: int, number: int, seen: Seen) -> None:
    """``examples`` generated requests to one operation; the same ones for the same ``number``. Blocks."""
    label = f"{operation.method.upper()} {operation.path}"
    documented = set(operation.definition.raw["responses"])

    @seed(number)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def run(case: Any) -> None:
        answer = case.call(base_url=base_url, headers=dict(headers), timeout=30)
        seen.requests[label] = seen.requests.get(label, 0) + 1
        if answer.status_code == 401:
            seen.unknown[label] = seen.unknown.get(label, 0) + 1
        if answer.status_code >= 500 and answer.status_code not in (502, 503, 504):
            seen.faults.append(f"{label}: {answer.status_code} for {_told(case)}")
        elif str(answer.status_code) not in documented:
            seen.faults.append(f"{label}: {answer.status_code} is not documented, for {_told(case)}")

    try:
        run()
    except SchemathesisError as error:
        seen.faults.append(f"{label}: no requests could be made: {error}")


def _told(case: Any) -> str:
    return f"path {case.path_parameters} query {case.query} headers {case.headers} body {str(case.body)[:300]}"


def missing(found: Seen, document: Mapping[str, Any]) -> Iterator[str]:
    """Operations that no request reached."""
    for path, methods in document["paths"].items():
        for method in methods:
            if f"{method.upper()} {path}" not in found.requests:
                yield f"{method.upper()} {path}"
