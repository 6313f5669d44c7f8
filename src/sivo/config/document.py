"""The flat document of ``GET /api/config`` and the explanation of single values."""

from __future__ import annotations

from functools import cache
from typing import Any
from uuid import UUID

from sivo.base.errors import SivoError
from sivo.base.settings import Settings
from sivo.config import registry, state
from sivo.config.change import Scope
from sivo.config.defaults import Defaults
from sivo.config.draft import ENDPOINT_FIELDS
from sivo.config.key import Inputs, Key, Level
from sivo.config.kinds import PLATFORM_ID
from sivo.config.past import Picture
from sivo.config.releases import default_changes
from sivo.config.resolve import Resolver, Stored
from sivo.config.state import Resource
from sivo.config.types import REDACTED
from sivo.db.scopes import Connection, Database

#: What an explanation says of who made a value what it is.
_ORIGIN = ("author", "at", "reason")


async def with_defaults(database: Database, resolver: Resolver) -> Resolver:
    """``resolver`` with the releases that its defaults come from, for explaining them."""
    async with database.platform("config: releases that changed defaults") as connection:
        resolver.defaults = Defaults.at(await default_changes(connection))
    return resolver


async def resolver_at(
    connection: Connection, tenant_id: UUID, scope: Scope, settings: Settings
) -> tuple[Resolver, int]:
    """Effective values as seen at ``scope``, and the version of the chain they were read at."""
    row = await state.known_tenant(connection, tenant_id)
    if scope.level in (Level.PLATFORM, Level.PLAN):
        return await _platform_resolver(connection, scope, settings), row.version
    if tenant_id == PLATFORM_ID:
        raise SivoError("VALIDATION_FAILED", "the platform has no values of a tenant", where="query.scope")
    stored = [one for one in await state.stored_values(connection, tenant_id, row.plan) if one.level is not Level.ORG]
    if scope.level is Level.ENDPOINT:
        stored += await _endpoint_values(connection, tenant_id, scope)
    if scope.level is Level.ORG:
        raise SivoError("NOT_FOUND", f"no Salesforce org {scope.target[:40]!r} is connected", where="query.scope")
    return Resolver(state.inputs_of(row, settings), stored), row.version


async def _platform_resolver(connection: Connection, scope: Scope, settings: Settings) -> Resolver:
    plan = scope.target or "starter"
    inputs = Inputs(
        slug="<slug>", plan=plan, sip_suffix=settings.sip_domain_suffix, app_suffix=settings.app_domain_suffix
    )
    stored = await state.stored_values(connection, PLATFORM_ID, plan)
    return Resolver(inputs, [one for one in stored if one.level is Level.PLATFORM or one.level is scope.level])


async def _endpoint_values(connection: Connection, tenant_id: UUID, scope: Scope) -> list[Stored]:
    try:
        endpoint_id = UUID(scope.target)
    except ValueError:
        raise SivoError("VALIDATION_FAILED", f"{scope} names no webhook endpoint", where="query.scope") from None
    found = (await state.resources_by_id(connection, tenant_id, [endpoint_id])).get(endpoint_id)
    if found is None or found.kind != "webhook_endpoint":
        raise SivoError("NOT_FOUND", f"there is no webhook endpoint {endpoint_id}", where="query.scope")
    return _values_of_endpoint(found)


def _values_of_endpoint(found: Resource) -> list[Stored]:
    values: dict[str, Any] = {**found.body, **found.secrets}
    return [
        Stored(key, Level.ENDPOINT, values[field], str(found.id), at=found.updated_at, seq=found.version)
        for key, field in ENDPOINT_FIELDS.items()
        if values.get(field) is not None
    ]


async def secret_names(connection: Connection, tenant_id: UUID) -> list[str]:
    """Names of the tenant's provider secrets."""
    return sorted(str(one.body["name"]) for one in await state.resources(connection, tenant_id, "secret"))


def document(resolver: Resolver, role: str, secrets: list[str], jwt_keys: list[str]) -> dict[str, Any]:
    """Flat JSON for ``role``: the keys in the order of the reference, then secrets and JWT keys, redacted."""
    found: dict[str, Any] = {}
    for name, key in registry.KEYS.items():
        if role in key.read_roles:
            found[name] = REDACTED if key.secret else resolver.effective(name).value
    if role != "agent":
        found |= {f"secrets.{name}": REDACTED for name in secrets}
        found |= {f"jwt_keys.{kid}": REDACTED for kid in sorted(jwt_keys)}
    return found


def explanation(resolver: Resolver, name: str, role: str) -> dict[str, Any]:
    """Why a key has its value: the winner, every level's value, the default, and the declaration."""
    key = registry.get(name)
    if role not in key.read_roles:
        raise SivoError("INSUFFICIENT_ROLE", f"role {role} may not read {name}", where=name)
    effective = resolver.effective(name)
    declaration, how = _declared(name)
    found: dict[str, Any] = {"key": name, "value": _shown(key, effective.value)}
    if key.secret:
        found["redacted"] = "a secret: its value stays in the vault"
    found.update(effective.provenance())
    changed = resolver.defaults.changed.get(name)
    origin = changed.told() if changed is not None else None
    if origin is not None and effective.level is Level.DEFAULT:
        found.update({part: origin[part] for part in _ORIGIN})
    found["levels"] = [_level(key, one) for one in resolver.levels(name)]
    found["default"] = {"value": _shown(key, resolver.default(name)), "how": how, "changed": origin}
    found["declaration"] = declaration
    return found


def explanations(resolver: Resolver, role: str) -> dict[str, Any]:
    """:func:`explanation` of every key that the role may see, in the order of the reference."""
    return {name: explanation(resolver, name, role) for name, key in registry.KEYS.items() if role in key.read_roles}


def past_resolver(then: Picture, scope: Scope, settings: Settings) -> Resolver:
    """Effective values of the past as seen at ``scope``."""
    if scope.level in (Level.PLATFORM, Level.PLAN, Level.TENANT):
        return then.resolver(settings, scope)
    if scope.level is not Level.ENDPOINT:
        raise SivoError("NOT_FOUND", f"no Salesforce org {scope.target[:40]!r} is connected", where="query.scope")
    found = next((one for one in then.resources if str(one.id) == scope.target), None)
    if found is None or found.kind != "webhook_endpoint":
        raise SivoError("NOT_FOUND", f"there was no webhook endpoint {scope.target[:40]} then", where="query.scope")
    return then.resolver(settings, extra=_values_of_endpoint(found))


@cache
def _declared(name: str) -> tuple[dict[str, Any], str]:
    """The declaration as JSON, and how its default comes about: the same for everybody, and never changed."""
    key = registry.get(name)
    return key.describe(), str(key.default.describe())


def _level(key: Key, one: Stored) -> dict[str, Any]:
    return {**one.told(), "value": _shown(key, one.value)}


def _shown(key: Key, value: Any) -> Any:
    return REDACTED if key.secret else value
