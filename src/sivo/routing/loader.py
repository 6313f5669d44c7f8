"""From the configuration in the database to the picture of a tenant that routing works with."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sivo.base.settings import Settings
from sivo.config import state
from sivo.config.key import Level
from sivo.config.kinds import PLATFORM_ID
from sivo.config.policies import Policy
from sivo.config.registry import KEYS
from sivo.config.resolve import Resolver
from sivo.config.state import Resource, TenantRow
from sivo.db.scopes import Connection, Database
from sivo.identity import devices
from sivo.identity.devices import Device
from sivo.recording.policy import POLICY_FIELDS as RECORDING_FIELDS
from sivo.routing.directory import (
    Agent,
    CarrierLimits,
    Did,
    Extension,
    OutboundRule,
    ProviderKey,
    RingGroup,
    Tenant,
    TenantPicture,
    Trunk,
)
from sivo.routing.pinning import Pinner
from sivo.routing.target_spec import spec_of
from sivo.schedules.hours import Schedule
from sivo.schedules.resources import schedule_of
from sivo.sip.sdes import SrtpPolicy
from sivo.transcription.policy import FIELDS as TRANSCRIPTION_FIELDS
from sivo.vault.vault import Vault

#: Vault names of the provider keys, by stage.
PROVIDER_SECRETS = {
    "stt": "stt_api_key",
    "llm": "llm_api_key",
    "tts": "tts_api_key",
    "transcription": "transcription_api_key",
    "stt_second": "stt_second_api_key",
    "llm_second": "llm_second_api_key",
    "tts_second": "tts_second_api_key",
}


class Loader:
    """Reads pictures. Passwords are opened once and kept by fingerprint, so that a refresh need not open them again."""

    def __init__(self, database: Database, vault: Vault, settings: Settings) -> None:
        self._database = database
        self._vault = vault
        self._settings = settings
        self._opened: dict[tuple[UUID, str, str], str] = {}
        self._devices: dict[UUID, dict[UUID, Device]] = {}

    async def versions(self) -> dict[UUID, int]:
        """Every tenant whose keys are there, with the version of its configuration; the platform too."""
        async with self._database.platform("routing directory") as conn:
            rows = await conn.fetch("select id, config_version from tenant where shredded_at is null")
        return {row["id"]: row["config_version"] for row in rows}

    @property
    def told(self) -> bool:
        """Whether changes are announced to this process as they are made: LISTEN is in force."""
        return self._database.listening

    async def load(self, tenant_id: UUID) -> TenantPicture | None:
        """The picture of one tenant as it is now; None when there is no such tenant."""
        if tenant_id == PLATFORM_ID:
            return None
        await self._vault.tenant_key(tenant_id)
        async with self._database.tenant(tenant_id) as conn:
            row = await state.tenant_row(conn, tenant_id)
            if row is None:
                return None
            stored = await state.stored_values(conn, tenant_id, row.plan)
            by_kind = in_force(await state.resources(conn, tenant_id))
            phones = await self._live_devices(conn, tenant_id)
            extensions = [await self._extension(conn, one, phones) for one in by_kind.get("extension", ())]
            trunks = [await self._trunk(conn, one) for one in by_kind.get("trunk", ())]
            keys = await self._provider_keys(conn, tenant_id, by_kind.get("secret", ()))
        inputs = state.inputs_of(row, self._settings)
        resolver = Resolver(inputs, [one for one in stored if one.level is not Level.ORG])
        domains, domain_ends = await self._domains(tenant_id, str(resolver.effective("tenant.sip_domain").value))
        dids = tuple(_did(one) for one in by_kind.get("did", ()))
        agents = tuple(_agent(one) for one in by_kind.get("ai_agent", ()))
        groups = tuple(_ring_group(one) for one in by_kind.get("ring_group", ()))
        tenant = _tenant(row, resolver, domains)
        return TenantPicture(
            tenant=tenant,
            extensions=tuple(extensions),
            trunks=tuple(trunks),
            dids=dids,
            agents=agents,
            recording_policies=_policies(by_kind.get("recording_policy", ()), RECORDING_FIELDS),
            transcription_policies=_policies(by_kind.get("transcription_policy", ()), tuple(TRANSCRIPTION_FIELDS)),
            snapshots=Pinner(row, stored, inputs).all(dids, agents, groups),
            stale_at=_first(domain_ends, *(phone.expires_at for phone in phones)),
            keys=keys,
            schedules=_schedules(by_kind.get("schedule", ()), tenant.timezone),
            ring_groups=groups,
            carrier_limits=_limits(by_kind.get("carrier_limits", ())),
        )

    async def _domains(self, tenant_id: UUID, current: str) -> tuple[tuple[str, ...], datetime | None]:
        """The domain in force and those that were replaced and are still valid, with the end of the first of these."""
        async with self._database.directory() as conn:
            rows = await conn.fetch(
                """select name, valid_until from name_directory
                    where space = 'tenant.sip_domain' and tenant_id = $1 and name <> $2 and valid_until > now()
                    order by valid_until""",
                tenant_id,
                current,
            )
        old = tuple(str(row["name"]).lower() for row in rows)
        return (current.lower(), *old), (rows[0]["valid_until"] if rows else None)

    async def _live_devices(self, conn: Connection, tenant_id: UUID) -> list[Device]:
        known = self._devices.get(tenant_id, {})
        self._devices[tenant_id] = await devices.live(conn, self._vault, tenant_id, known)
        return list(self._devices[tenant_id].values())

    async def _extension(self, conn: Connection, resource: Resource, phones: list[Device]) -> Extension:
        password = await self._secret(conn, resource, "sip_password")
        own = {one.auth_user: one.secret for one in phones if one.extension_id == resource.id}
        return replace(extension_of(resource), password=password, devices=own)

    async def _trunk(self, conn: Connection, resource: Resource) -> Trunk:
        return replace(trunk_of(resource), password=await self._secret(conn, resource, "password"))

    async def _secret(self, conn: Connection, resource: Resource, field: str) -> str:
        fingerprint = resource.secrets.get(field)
        if not fingerprint:
            return ""
        name = f"{resource.kind}/{resource.id}/{field}"
        known = self._opened.get((resource.tenant_id, name, fingerprint))
        if known is None:
            secret = await self._vault.get_secret(resource.tenant_id, name, connection=conn)
            known = secret.value if secret else ""
            self._opened[resource.tenant_id, name, fingerprint] = known
        return known

    async def _provider_keys(
        self, conn: Connection, tenant_id: UUID, entered: Iterable[Resource]
    ) -> dict[str, ProviderKey]:
        places = {str(one.body["name"]): str(one.body.get("base_url") or "") for one in entered}
        keys: dict[str, ProviderKey] = {}
        for stage, name in PROVIDER_SECRETS.items():
            if stage.endswith("_second") and name not in places:
                continue  # few have one
            secret = await self._vault.get_secret(tenant_id, name, connection=conn)
            if secret is not None:
                keys[stage] = ProviderKey(secret.value, secret.host, places.get(name, ""))
        return keys


def in_force(resources: Iterable[Resource]) -> dict[str, list[Resource]]:
    """Resources that calls are made with, by kind: the active ones, and every policy, since an inactive one counts."""
    found: dict[str, list[Resource]] = {}
    for one in resources:
        if one.body.get("active", True) or one.kind.endswith("_policy"):
            found.setdefault(one.kind, []).append(one)
    return found


def supposed(row: TenantRow, resolver: Resolver, resources: Iterable[Resource]) -> TenantPicture:
    """The picture that a tenant would have with these values and resources: no secrets, no phones, one domain."""
    by_kind = in_force(resources)
    dids = tuple(_did(one) for one in by_kind.get("did", ()))
    agents = tuple(_agent(one) for one in by_kind.get("ai_agent", ()))
    stored = [one for name in KEYS for one in resolver.levels(name)]
    groups = tuple(_ring_group(one) for one in by_kind.get("ring_group", ()))
    tenant = _tenant(row, resolver, (str(resolver.effective("tenant.sip_domain").value),))
    return TenantPicture(
        tenant=tenant,
        extensions=tuple(extension_of(one) for one in by_kind.get("extension", ())),
        trunks=tuple(trunk_of(one) for one in by_kind.get("trunk", ())),
        dids=dids,
        agents=agents,
        recording_policies=_policies(by_kind.get("recording_policy", ()), RECORDING_FIELDS),
        transcription_policies=_policies(by_kind.get("transcription_policy", ()), tuple(TRANSCRIPTION_FIELDS)),
        snapshots=Pinner(row, stored, resolver.inputs).all(dids, agents, groups),
        schedules=_schedules(by_kind.get("schedule", ()), tenant.timezone),
        ring_groups=groups,
        carrier_limits=_limits(by_kind.get("carrier_limits", ())),
    )


def extension_of(resource: Resource) -> Extension:
    """An extension without its password."""
    body = resource.body
    return Extension(
        id=resource.id,
        tenant_id=resource.tenant_id,
        number=str(body["number"]),
        name=str(body.get("name") or ""),
        user_id=UUID(str(body["user"])) if body.get("user") else None,
        srtp=SrtpPolicy(body.get("srtp") or SrtpPolicy.OPTIONAL),
        transfer_code=str(body.get("transfer_code") or ""),
    )


def trunk_of(resource: Resource) -> Trunk:
    """A trunk without its password."""
    body = resource.body
    return Trunk(
        id=resource.id,
        tenant_id=resource.tenant_id,
        name=str(body["name"]),
        networks=tuple(ipaddress.ip_network(cidr) for cidr in body.get("cidrs") or ()),
        host=str(body.get("host") or ""),
        port=int(body.get("port") or 5060),
        country=str(body.get("country") or ""),
        outbound=tuple(
            OutboundRule(str(rule["prefix"]), int(rule.get("priority", 10))) for rule in body.get("outbound") or ()
        ),
        caller_id=str(body.get("caller_id") or ""),
        username=str(body.get("username") or ""),
        keys_as_sound=bool(body.get("keys_as_sound")),
        transport=str(body.get("transport") or "udp"),
        register=bool(body.get("register_there")),
        countries=tuple(str(code) for code in body.get("countries") or ()),
    )


def _rule(rule: Mapping[str, Any]) -> OutboundRule:
    return OutboundRule(str(rule["prefix"]), int(rule.get("priority", 10)))


def _first(*ends: datetime | None) -> datetime | None:
    return min((at for at in ends if at is not None), default=None)


def _tenant(row: TenantRow, resolver: Resolver, domains: tuple[str, ...]) -> Tenant:
    return Tenant(
        id=row.id,
        slug=row.slug,
        domains=domains,
        timezone=str(resolver.effective("tenant.timezone").value),
        version=row.version,
        status=row.status,
    )


def _did(resource: Resource) -> Did:
    body = resource.body
    target = spec_of(body.get("target"))
    return Did(
        id=resource.id,
        tenant_id=resource.tenant_id,
        number=str(body["number"]),
        trunk_id=UUID(str(body["trunk"])) if body.get("trunk") else None,
        target_kind=target.kind if target else "",
        target_id=target.id if target else None,
        language=str(body.get("transcription_language") or ""),
        open=target.open if target else None,
        closed=target.closed if target else None,
    )


def _ring_group(resource: Resource) -> RingGroup:
    body = resource.body
    return RingGroup(
        id=resource.id,
        tenant_id=resource.tenant_id,
        name=str(body["name"]),
        extensions=tuple(UUID(str(one)) for one in body["extensions"]),
        strategy=str(body["strategy"]),
        ring_seconds=float(body["ring_seconds"]),
        no_answer=spec_of(body.get("no_answer")),
    )


def _schedules(resources: Iterable[Resource], zone: str) -> tuple[Schedule, ...]:
    return tuple(schedule_of(one.id, one.tenant_id, one.body, zone) for one in resources)


def _limits(resources: Iterable[Resource]) -> CarrierLimits:
    body = next((one.body for one in resources), {})
    return CarrierLimits(body.get("calls_per_minute"), body.get("calls_at_a_time"))


def _agent(resource: Resource) -> Agent:
    return Agent(resource.id, resource.tenant_id, str(resource.body["name"]), resource.body)


def _policies(resources: object, fields: tuple[str, ...]) -> tuple[Policy, ...]:
    assert isinstance(resources, list | tuple)
    return tuple(Policy.from_body(str(one.id), one.body, fields) for one in resources)
