"""Where the rooms hand in what is to be mailed: one row, in the transaction that made the fact true."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from sivo.base.clock import Clock
from sivo.base.ids import uuid7
from sivo.base.settings import Settings
from sivo.config import state
from sivo.db.scopes import Connection
from sivo.mail import message, render
from sivo.mail.message import Letter
from sivo.mail.template import Kind
from sivo.vault.vault import Vault

#: How long an attempt still makes sense for mails without a link.
NOTICE_LASTS = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class Mail:
    """One message to one person. ``language`` None = ``tenant.default_locale``.

    ``page`` and ``token`` make its link; ``values`` are those of the template without ``tenant``.
    """

    kind: Kind
    to: str
    name: str = ""
    language: str | None = None
    values: Mapping[str, str] = field(default_factory=dict)
    page: str = ""
    token: str = field(default="", repr=False)
    reply_to: str = ""
    about: UUID | None = None
    lasts: timedelta = NOTICE_LASTS


@dataclass(frozen=True, slots=True)
class Posted:
    """Whether a message waits to be sent, and the link that it holds: for the administrator when it does not."""

    mailed: bool
    link: str = field(default="", repr=False)


class Post:
    """Writes ``mail_message`` rows, or none when the node has no SMTP server."""

    def __init__(self, settings: Settings, vault: Vault, clock: Clock) -> None:
        self._settings = settings
        self._vault = vault
        self._clock = clock

    @property
    def configured(self) -> bool:
        """Whether there is a server to send by."""
        return bool(self._settings.smtp_host)

    async def ready(self, tenant_id: UUID) -> None:
        """To be called before the transaction: the vault may need a connection of its own to make the tenant's key."""
        await self._vault.tenant_key(tenant_id)

    async def put(self, connection: Connection, tenant_id: UUID, mail: Mail) -> Posted:
        """Hand in ``mail`` in the open scope of its tenant, with the tenant's language and console host of now."""
        tenant = await state.known_tenant(connection, tenant_id)
        effective = await state.resolver(connection, tenant, self._settings)
        language = mail.language or str(effective.effective("tenant.default_locale").value)
        host = effective.effective("tenant.dashboard_url").value
        # A fragment is not sent to servers: the token stays out of their logs and out of Referer headers.
        link = f"https://{host}/{mail.page}#token={mail.token}" if mail.page else ""
        if not self.configured:
            return Posted(False, link)
        rendered = render.render(mail.kind, language, {**mail.values, "tenant": tenant.name}, link)
        letter = Letter(mail.to, mail.name, rendered.subject, rendered.text, rendered.html, mail.reply_to)
        await self._insert(connection, tenant_id, mail, language, letter)
        return Posted(True, link)

    async def _insert(self, connection: Connection, tenant_id: UUID, mail: Mail, language: str, letter: Letter) -> None:
        message_id, now = uuid7(), self._clock.now()
        sealed = await self._vault.seal(tenant_id, purpose(message_id), message.encode(letter))
        await connection.execute(
            "insert into mail_message"
            " (id, tenant_id, template, language, about, sealed, state, due_at, expires_at, created_at)"
            " values ($1, $2, $3, $4, $5, $6, 'pending', $7, $8, $7)",
            message_id,
            tenant_id,
            str(mail.kind),
            language,
            mail.about,
            sealed,
            now,
            now + mail.lasts,
        )


def purpose(message_id: UUID) -> str:
    """What the vault seals a message for."""
    return f"mail:{message_id}"
