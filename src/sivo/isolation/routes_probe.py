"""Every operation of the OpenAPI document, with one canary's token and the other's ids.

Three things are asked of each: nothing of the other tenant in the answer; an id of the other tenant is answered exactly
as an id that nobody has; and the owner, with the same id, does get an answer (else there was nothing to steal, and the
probe proves nothing). Afterwards the other tenant must be what it was.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from sivo.isolation.canaries import SECRET, Canary
from sivo.isolation.doors import Answer
from sivo.isolation.findings import Findings
from sivo.isolation.samples import sample

SECTION = "routes"
_METHODS = ("get", "post", "put", "patch", "delete")
#: Path parameters that name no row: words that every tenant shares, or names in the caller's own tenant.
_WORDS = {"key": "tenant.slug", "limit": "login", "kid": "no-such-key", "name": SECRET, "slug": ""}
#: About the caller alone, and the end of it: tried last.
_LAST = ("/api/auth/logout", "/api/auth/logout-all")
#: These take the token of a login that is not finished, or none at all: the attacker's own is refused with 401.
_OWN_PROOF = ("/api/auth/",)


@dataclass(frozen=True, slots=True)
class _Operation:
    method: str
    path: str
    definition: Mapping[str, Any]

    @property
    def name(self) -> str:
        return f"{self.method.upper()} {self.path}"

    @property
    def parameters(self) -> list[str]:
        return re.findall(r"\{(\w+)\}", self.path)

    def queries(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Query parameters that are free text or ids."""
        found = [one for one in self.definition.get("parameters", []) if one["in"] == "query"]
        return [(one["name"], one.get("schema", {})) for one in found]


async def probe(document: Mapping[str, Any], attacker: Canary, owner: Canary, findings: Findings) -> None:
    """Try every operation of ``document``."""
    before = await picture(owner)
    operations = [
        _Operation(method, path, definition)
        for path, methods in document["paths"].items()
        for method, definition in methods.items()
        if method in _METHODS
    ]
    for operation in sorted(operations, key=lambda one: one.path in _LAST):
        await _try(operation, document, attacker, owner, findings)
    after = await picture(owner)
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    findings.judge(SECTION, "the other tenant is what it was", [f"{name} changed" for name in changed])


async def picture(owner: Canary) -> dict[str, str]:
    """What the owner sees of its own resources."""
    paths = ["/api/config", *(f"/api/{plural}" for plural in owner.ids if "_" not in plural and plural != "secrets")]
    return {path: (await owner.door.ask("GET", path)).text for path in [*paths, "/api/secrets"]}


async def _try(
    operation: _Operation, document: Mapping[str, Any], attacker: Canary, owner: Canary, findings: Findings
) -> None:
    values = _values(operation, owner)
    if isinstance(values, str):
        findings.uncovered(SECTION, operation.name, values)
        return
    ids = {name: value for name, value in values.items() if name not in _WORDS}
    body, query = sample(document, operation.definition, owner), _queries(operation, owner.ids)
    answer = await _send(operation, values, body, attacker, query, "")
    faults = _faults(answer, owner, sent=f"{values}{body}{query}")
    if operation.method == "get":
        named = await _send(operation, values, body, attacker, {}, str(owner.tenant_id))
        faults += [f"with the owner's X-Tenant-Id: {fault}" for fault in _faults(named, owner, sent=str(values))]
    if answer.status == 401 and not await _still_in(operation, attacker):
        findings.uncovered(SECTION, operation.name, "the attacker was not signed in any more")
        return
    if ids:
        faults += await _against_nobody(operation, values, body, attacker, query)
        if not faults and not await _owner_gets_it(operation, values, owner):
            findings.uncovered(SECTION, operation.name, "the owner gets nothing there either: nothing was proved")
            return
        if not faults and answer.status == 422:
            findings.uncovered(SECTION, operation.name, f"no body that it takes: {answer.text[:200]}")
            return
    findings.judge(SECTION, operation.name, faults, f"{answer.status} {answer.code}".strip())


async def _against_nobody(
    operation: _Operation, values: dict[str, str], body: Any, attacker: Canary, query: dict[str, str]
) -> list[str]:
    """How the owner's ids are answered otherwise than ids that nobody has; with the query, and without one."""
    ids = {name: value for name, value in values.items() if name not in _WORDS}
    nobody = {name: str(uuid4()) for name in ids}
    faults = []
    for one in [query, {}] if query else [{}]:
        answer = await _send(operation, values, body, attacker, one, "")
        twin = await _send(operation, {**values, **nobody}, body, attacker, one, "")
        faults += _difference(answer, twin, ids, nobody)
    return faults


def _values(operation: _Operation, owner: Canary) -> dict[str, str] | str:
    """A value of the owner's for each path parameter, or what is missing."""
    found = {}
    for name in operation.parameters:
        key = operation.path.split("/")[2] if name == "resource_id" else name
        value = owner.ids.get(key) or owner.ids.get(operation.path.split("/")[2] if name.endswith("_id") else key)
        if name in _WORDS:
            value = owner.slug if name == "slug" else _WORDS[name]
        if value is None:
            return f"no canary for the path parameter {name}: add it to sivo/isolation/canaries.py or past.py"
        found[name] = value
    return found


def _queries(operation: _Operation, ids: Mapping[str, str]) -> dict[str, str]:
    """The owner's ids wherever the query takes an id, an old state, or one of its numbers."""
    found = {}
    for name, schema in operation.queries():
        text = str(schema)
        if name in ids:
            found[name] = ids[name]
        elif "'uuid'" in text:
            found[name] = ids["trunks"]
        elif name in ("from", "to") and operation.path.endswith("/call"):
            found[name] = "+34910000000"
        elif name in ("from", "to", "at"):
            found[name] = "1"
    return found


async def _send(
    operation: _Operation, values: Mapping[str, str], body: Any, who: Canary, query: dict[str, str], claimed: str
) -> Answer:
    path = re.sub(r"\{(\w+)\}", lambda match: values[match[1]], operation.path)
    headers = {"X-Tenant-Id": claimed} if claimed else {}
    return await who.door.ask(operation.method.upper(), path, body, query=query, headers=headers)


def _faults(answer: Answer, owner: Canary, sent: str) -> list[str]:
    """What the answer tells of the owner that the request did not say itself."""
    faults = [
        f"{answer.status}: holds {mark}" for mark in sorted(owner.marks) if mark in answer.text and mark not in sent
    ]
    if answer.status >= 500 and answer.status not in (502, 503, 504):
        faults.append(f"answered {answer.status}")
    return faults


def _difference(answer: Answer, twin: Answer, ids: Mapping[str, str], nobody: Mapping[str, str]) -> list[str]:
    """How the other tenant's id is answered otherwise than one that nobody has."""
    if answer.status // 100 == 2:
        return [f"answered {answer.status} for what belongs to another tenant"]
    if answer.status not in (400, 401, 403, 404, 409, 422):
        return [f"answered {answer.status}"]
    text, other = answer.text, twin.text
    for name, value in ids.items():
        text, other = text.replace(value, "<id>"), other.replace(nobody[name], "<id>")
    if (answer.status, text) == (twin.status, other):
        return []
    return [f"{answer.status} {text[:200]} for the other tenant's, {twin.status} {other[:200]} for nobody's"]


async def _still_in(operation: _Operation, attacker: Canary) -> bool:
    """Whether 401 was this route's own word and not the end of the attacker's session."""
    return operation.path in _LAST or (await attacker.door.ask("GET", "/api/me")).status == 200


async def _owner_gets_it(operation: _Operation, values: Mapping[str, str], owner: Canary) -> bool:
    """Whether the owner reads what was tried. Other methods stand on the same id as the reads."""
    if operation.method != "get":
        return True
    answer = await _send(operation, values, None, owner, {}, "")
    return answer.status // 100 == 2 or answer.code == "INSUFFICIENT_ROLE" or answer.status == 409
