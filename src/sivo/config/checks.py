"""Checks of a whole draft, after all its changes are in: names, rules between keys, references."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from sivo.base.errors import SivoError, register
from sivo.config import slugs
from sivo.config.change import Scope
from sivo.config.draft import SLUG, Draft, DraftKey
from sivo.config.hooks import CheckContext
from sivo.config.key import Inputs, Level
from sivo.config.kinds import KINDS, PLATFORM_ID, ResourceKind
from sivo.config.resolve import Resolver
from sivo.config.rules import check_domains, check_effective, check_set
from sivo.config.state import Resource, inputs_of, resources, resources_by_id
from sivo.config.surroundings import Below
from sivo.config.types import PLANS
from sivo.db.scopes import Connection

IN_USE = register("RESOURCE_IN_USE", 409)


def settle_slug(draft: Draft, taken: Iterable[str]) -> None:
    """Bring ``tenant.slug`` and the tenant's body together; make a slug where nobody gave one."""
    body = draft.tenant_body
    if body is None or draft.base.tenant_id == PLATFORM_ID:
        return
    change: DraftKey | None = draft.keys.get((Scope(Level.TENANT), SLUG))
    if change is not None and change.after is not None:
        body["slug"] = change.after["value"]
    elif change is not None or body["slug"] is None:
        body["slug"] = slugs.free(body["name"], set(taken))


def resolver_of(draft: Draft) -> Resolver:
    """Effective values as they will be."""
    return Resolver(_inputs(draft), [one for one in draft.stored() if _applies(one.level, one.target, draft)])


def check_rules(draft: Draft) -> Resolver:
    """Rules of single values and between keys; returns the effective values they were checked on."""
    inputs = _inputs(draft)
    for change in draft.keys.values():
        if change.after is not None:
            check_set(change.key, change.after["value"], change.scope.level, draft.author.role)
    if draft.base.tenant_id == PLATFORM_ID:
        for plan in PLANS:
            values = [one for one in draft.stored() if one.level is not Level.PLAN or one.target == plan]
            check_effective(Resolver(Inputs(slug="example", plan=plan), values))
        return resolver_of(draft)
    effective = resolver_of(draft)
    check_effective(effective)
    check_domains(effective.values(), inputs)
    return effective


def check_tenants(draft: Draft, below: Iterable[Below]) -> None:
    """What a change of platform or plan would do to tenants that have values of their own; refused when it breaks one.

    Tenants without own values were checked as plans already.
    """
    broken: list[tuple[str, SivoError]] = []
    for tenant in below:
        above = [one for one in draft.stored() if one.level is not Level.PLAN or one.target == tenant.plan]
        try:
            check_effective(Resolver(Inputs(slug=tenant.slug, plan=tenant.plan), [*above, *tenant.values]))
        except SivoError as error:
            broken.append((tenant.slug, error))
    if broken:
        slug, first = broken[0]
        raise SivoError(
            first.code,
            f"{len(broken)} tenants would break a rule, {slug} first: {first.message}",
            where=first.where,
            remedy=first.remedy,
            details={"tenants": [name for name, _ in broken[:50]]},
        )


async def check_resources(connection: Connection, draft: Draft, effective: Resolver) -> None:
    """Checks of the kinds, and that everything referred to is there."""
    settings = draft.base.settings
    context = CheckContext(
        effective.inputs, effective.values(), draft.author.role, allow_http=settings.dangerous_outbound_http
    )
    for one in draft.resources.values():
        if one.body is not None and one.changed() and one.kind.check is not None:
            await one.kind.check(context, one.id, one.body)
    if draft.tenant_body is not None and draft.base.tenant is not None:
        await _check_with_tenant(connection, draft, context)
    await _check_references(connection, draft)


async def _check_with_tenant(connection: Connection, draft: Draft, context: CheckContext) -> None:
    assert draft.base.tenant is not None
    if draft.tenant_body == draft.base.tenant.body():
        return
    for kind in KINDS.values():
        if kind.checked_with_tenant and kind.check is not None:
            for one in await resources(connection, draft.base.tenant_id, kind.name):
                if one.id not in draft.resources:
                    await kind.check(context, one.id, one.body)


async def _check_references(connection: Connection, draft: Draft) -> None:
    wanted = [
        (one.kind, named)
        for one in draft.resources.values()
        if one.body is not None and one.changed()
        for named in one.kind.named(one.body)
    ]
    stored = await resources_by_id(connection, draft.base.tenant_id, {UUID(found) for _, (_, _, found) in wanted})
    for kind, (field, target_kind, target_id) in wanted:
        if not _is_there(draft, stored, target_kind, UUID(target_id)):
            where = f"{kind.name}.{field}"
            raise SivoError(
                "VALIDATION_FAILED",
                f"{where}: there is no {target_kind} {target_id}",
                where=where,
                remedy="create it first",
            )
    gone = {(one.kind.name, str(one.id)) for one in draft.resources.values() if one.body is None}
    if gone:
        await _check_nothing_refers(connection, draft, gone)


def _is_there(draft: Draft, stored: dict[UUID, Resource], kind: str, resource_id: UUID) -> bool:
    drafted = draft.resources.get(resource_id)
    if drafted is not None:
        return drafted.body is not None and drafted.kind.name == kind
    found = stored.get(resource_id)
    return found is not None and found.kind == kind


async def _check_nothing_refers(connection: Connection, draft: Draft, gone: set[tuple[str, str]]) -> None:
    referring = [kind for kind in KINDS.values() if kind.references or kind.further]
    for one in await resources(connection, draft.base.tenant_id):
        kind = KINDS.get(one.kind)
        if kind not in referring or kind is None:
            continue
        drafted = draft.resources.get(one.id)
        body = drafted.body if drafted is not None else one.body
        target = None if body is None else _refers(kind, body, gone)
        if target is not None:
            raise SivoError(
                IN_USE,
                f"{target[0]} {target[1]} is used by {one.kind} {one.id}",
                where=f"{target[0]}",
                remedy=f"change or delete the {one.kind} first",
            )


def _refers(kind: ResourceKind, body: dict[str, object], gone: set[tuple[str, str]]) -> tuple[str, str] | None:
    return next((found for _, *rest in kind.named(body) if (found := (rest[0], rest[1])) in gone), None)


def _inputs(draft: Draft) -> Inputs:
    body, settings = draft.tenant_body, draft.base.settings
    if body is None:
        return inputs_of(None, settings)
    return Inputs(
        slug=body["slug"] or "",
        name=body["name"],
        plan=body["plan"],
        sip_suffix=settings.sip_domain_suffix,
        app_suffix=settings.app_domain_suffix,
    )


def _applies(level: Level, target: str, draft: Draft) -> bool:
    plan = draft.tenant_body["plan"] if draft.tenant_body else ""
    return level is not Level.ORG and (level is not Level.PLAN or target == plan)
