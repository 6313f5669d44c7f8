"""What the routes of the configuration plane share: reading bodies, reasons, scopes and entity tags."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import quote, unquote
from uuid import UUID

from fastapi import Depends, Header, Query, Request
from pydantic import BaseModel

from sivo.audit.canonical import canonical
from sivo.base.errors import SivoError
from sivo.config import registry
from sivo.config.change import Change, Scope, SetKey, UnsetKey, Warned
from sivo.config.desired import split_lock
from sivo.config.key import Level
from sivo.config.kinds import PLATFORM_ID
from sivo.config.plans import CONFIRMATION_REQUIRED
from sivo.identity.access import TENANT_REQUIRED, Caller, Role
from sivo.identity.access import CallerGate as CallerGate

_CONFIG_TAG = re.compile(r'\s*(?:W/)?"(\d{1,18})-([0-9a-f]{16})"\s*')


async def json_object(request: Request) -> dict[str, Any]:
    """The request's body, a JSON object (also as ``application/merge-patch+json``)."""
    try:
        found = json.loads(await request.body())
    except (ValueError, RecursionError):
        raise SivoError(
            "VALIDATION_FAILED", "the body is not JSON", where="body", remedy="send a JSON object"
        ) from None
    if not isinstance(found, dict):
        raise SivoError("VALIDATION_FAILED", "the body is not a JSON object", where="body")
    return found


def change_reason(x_change_reason: Annotated[str, Header(max_length=3000)] = "") -> str:
    """Why something is changed: header ``X-Change-Reason``, percent-encoded UTF-8."""
    return unquote(x_change_reason, errors="replace").strip()


def scope_of(
    scope: Annotated[
        str, Query(max_length=100, description="`tenant`, `platform`, `plan:<name>`, `org:<id>` or `endpoint:<id>`.")
    ] = "tenant",
) -> Scope:
    """The scope that the query names. Raises VALIDATION_FAILED."""
    level, _, target = scope.partition(":")
    wants_target = level in (Level.PLAN, Level.ORG, Level.ENDPOINT)
    if level not in (Level.PLATFORM, Level.TENANT) and not (wants_target and target):
        raise SivoError(
            "VALIDATION_FAILED",
            f"{scope[:60]!r} is no scope",
            where="query.scope",
            remedy="use tenant, platform, plan:<name>, org:<id> or endpoint:<id>",
        )
    return Scope(Level(level), target)


def own_tenant(caller: Caller) -> UUID:
    """The tenant that the caller works on. Raises TENANT_REQUIRED."""
    if caller.tenant_id is None:
        raise SivoError(
            TENANT_REQUIRED, "the request names no tenant", where="header X-Tenant-Id", remedy="send the tenant's id"
        )
    return caller.tenant_id


def chain_of(who: Caller, scope: Scope) -> UUID:
    """Whose values are meant. Platform and plan are a superadmin's; the rest belongs to a tenant."""
    if scope.level in (Level.PLATFORM, Level.PLAN):
        if who.role is not Role.SUPERADMIN:
            raise SivoError("INSUFFICIENT_ROLE", f"only a superadmin works at {scope}", where="query.scope")
        return PLATFORM_ID
    return own_tenant(who)


def warned(warnings: Sequence[Warned]) -> dict[str, str]:
    """Header ``X-Change-Warnings`` for answers whose body has no room for them: a JSON array, percent-encoded."""
    if not warnings:
        return {}
    return {"X-Change-Warnings": quote(json.dumps([one.body() for one in warnings], ensure_ascii=False))}


class Waiting(BaseModel):
    """A change that was put down instead of being made: it waits for its time, for approval, or for both."""

    change: dict[str, Any]


#: Stands with every operation that changes what a tenant can edit.
WAITS: dict[int | str, dict[str, Any]] = {
    202: {"model": Waiting, "description": "Not done yet: the tenant wants changes approved by a second person."}
}
JsonObject = Annotated[dict[str, Any], Depends(json_object)]
Reason = Annotated[str, Depends(change_reason)]
ScopeQuery = Annotated[Scope, Depends(scope_of)]


def config_tag(version: int, document: dict[str, Any], role: str = "", scope: Scope | None = None) -> str:
    """Strong entity tag of a configuration document, and the version of its chain.

    It is made from everything that the document shows (so from platform, plan and tenant as far as they count), from
    the role that it is shown to and from the scope.
    """
    content = [document, role, str(scope or "")]
    return f'"{version}-{hashlib.sha256(canonical(content)).hexdigest()[:16]}"'


def same_content(header: str | None, tag: str) -> bool:
    """Whether ``header`` (If-Match or If-None-Match, a list or ``*``) names the content of ``tag``."""
    if header is None:
        return False
    if header.strip() == "*":
        return True
    ours = _CONFIG_TAG.fullmatch(tag)
    return ours is not None and any(
        (theirs := _CONFIG_TAG.fullmatch(one)) is not None and theirs[2] == ours[2] for one in header.split(",")
    )


def version_in(header: str) -> int | None:
    """The version that an If-Match header was read at, None when it holds no tag of ours."""
    found = _CONFIG_TAG.fullmatch(header)
    return int(found[1]) if found else None


def changes_of(patch: dict[str, Any], scope: Scope, confirmed: list[str]) -> list[Change]:
    """The changes that a merge patch of keys asks for; a value may come with its lock."""
    found: list[Change] = []
    for name, sent in patch.items():
        key = registry.get(name)
        if key.confirm and name not in confirmed:
            raise SivoError(
                CONFIRMATION_REQUIRED,
                f"{name}: {key.confirm}",
                where=name,
                remedy=f"repeat the request with ?confirm={name} when that is agreed",
            )
        value, locked = split_lock(sent)
        found.append(UnsetKey(name, scope) if value is None else SetKey(name, value, scope, locked))
    return found
