"""Taking a lead in: stored, evented and mailed in one transaction. Nothing is looked up among the leads there are."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from sivo.base import logs
from sivo.base.clock import Clock
from sivo.base.errors import SivoError
from sivo.base.ids import uuid7
from sivo.base.settings import Settings
from sivo.config import state
from sivo.db.scopes import Connection, Database
from sivo.events import outbox
from sivo.events.catalogue import LEAD_CREATED
from sivo.identity.directory import DASHBOARD_HOST, SLUG, Directory
from sivo.identity.people import ACTIVE
from sivo.leads import rows
from sivo.leads.bodies import LeadBody
from sivo.leads.resources import ANY, LEAD_INBOX, LeadInbox
from sivo.mail.post import Mail, Post
from sivo.mail.template import Kind
from sivo.vault.vault import Vault

DEFAULT_RETENTION_DAYS = 365
_log = logs.get("leads")


def purpose(lead_id: UUID) -> str:
    """What the vault seals a lead for."""
    return f"lead:{lead_id}"


class Intake:
    """One per ``api`` process."""

    def __init__(self, settings: Settings, database: Database, vault: Vault, post: Post, clock: Clock) -> None:
        self._settings = settings
        self._database = database
        self._vault = vault
        self._post = post
        self._clock = clock
        self._directory = Directory(database, clock)

    async def take(self, body: LeadBody, host: str) -> None:
        """Store a lead of the tenant that slug or host names. NOT_FOUND when none does, or it is suspended.

        A filled trap is answered like every other request and leaves nothing.
        """
        space, name = (SLUG, body.tenant) if body.tenant else (DASHBOARD_HOST, host)
        found = await self._directory.find(space, name)
        if found is None:
            raise _nobody()
        await self._post.ready(found.tenant_id)
        async with self._database.tenant(found.tenant_id) as connection:
            tenant = await state.tenant_row(connection, found.tenant_id)
            if tenant is None or tenant.status != ACTIVE:
                raise _nobody()
            if body.website:
                _log.info("lead trap", tenant=str(found.tenant_id))
                return
            await self._store(connection, tenant, body)

    async def _store(self, connection: Connection, tenant: state.TenantRow, body: LeadBody) -> None:
        lead_id, now = uuid7(), self._clock.now()
        inbox = await self._inbox(connection, tenant.id, body.source)
        locale = body.locale or await self._default_locale(connection, tenant)
        days = inbox.retention_days if inbox else DEFAULT_RETENTION_DAYS
        row: dict[str, Any] = {
            "id": lead_id,
            "sealed": await self._vault.seal(tenant.id, purpose(lead_id), msgspec.json.encode(body.person())),
            "source": body.source,
            "locale": locale,
            "consent_at": now,
            "consent_version": body.consent_version,
            "created_at": now,
            "expires_at": now + timedelta(days=days),
        }
        await rows.insert(connection, tenant.id, row)
        await outbox.put(connection, tenant.id, LEAD_CREATED, _event(row))
        if inbox is not None and inbox.active:
            await self._post.put(connection, tenant.id, _mail(lead_id, inbox, body, now))
        _log.info("lead", tenant=str(tenant.id), lead=str(lead_id), source=body.source)

    async def _inbox(self, connection: Connection, tenant_id: UUID, source: str) -> LeadInbox | None:
        """The inbox of ``source``, else the one for all."""
        found = {
            one.body["source"]: LeadInbox.model_validate(one.body)
            for one in await state.resources(connection, tenant_id, LEAD_INBOX.name)
        }
        return found.get(source) or found.get(ANY)

    async def _default_locale(self, connection: Connection, tenant: state.TenantRow) -> str:
        effective = await state.resolver(connection, tenant, self._settings)
        return str(effective.effective("tenant.default_locale").value)


def _event(row: dict[str, Any]) -> dict[str, Any]:
    """``lead.created``: who it is stands in ``GET /api/leads/{id}``, where it is sealed and can be erased."""
    return {
        "leadId": str(row["id"]),
        "source": row["source"],
        "locale": row["locale"],
        "consentAt": outbox.iso_ms(row["consent_at"]),
        "consentVersion": row["consent_version"],
    }


def _mail(lead_id: UUID, inbox: LeadInbox, body: LeadBody, now: datetime) -> Mail:
    return Mail(
        Kind.LEAD,
        to=inbox.email,
        values={
            "lead_name": body.name,
            "lead_email": body.email,
            "lead_phone": body.phone or "–",
            "lead_company": body.company or "–",
            "source": body.source,
            "consent": f"{body.consent_version}, {outbox.iso_ms(now)}",
            "message": body.message or "–",
        },
        reply_to=body.email,
        about=lead_id,
    )


def _nobody() -> SivoError:
    return SivoError(
        "NOT_FOUND",
        "no tenant takes leads here",
        where="tenant",
        remedy="send the tenant's slug, or post to the host of its console",
    )
