"""What a finished login is given: a session, an access token, a refresh token."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sivo.audit.log import Actor, AuditEntry, record
from sivo.base import logs
from sivo.base.clock import Clock
from sivo.db.scopes import Database
from sivo.identity import refresh, sessions
from sivo.identity.people import People, Person
from sivo.identity.refresh import Renewed
from sivo.identity.sessions import Opening, Session
from sivo.identity.tokens import Subject, Tokens

_log = logs.get("identity")


@dataclass(frozen=True, slots=True)
class From:
    """Where a login comes from: the network that failures are counted by, the client's address and its own name."""

    network: str
    address: str = ""
    client: str = ""


@dataclass(frozen=True, slots=True)
class Granted:
    """Tokens of a session; lives in seconds. ``refresh_token`` is shown this one time."""

    session_id: UUID
    access_token: str
    expires_in: int
    refresh_token: str
    refresh_expires_in: int


class Grants:
    """Opens and renews sessions."""

    def __init__(self, database: Database, people: People, tokens: Tokens, clock: Clock) -> None:
        self._database = database
        self._people = people
        self._tokens = tokens
        self._clock = clock

    async def open(self, person: Person, factor: str | None, origin: From) -> Granted:
        """A session of ``person``, whose refresh life is what ``auth.refresh_ttl_sec`` says now."""
        identity = await self._people.tenant_identity(person.tenant_id)
        opening = Opening(person.id, identity.refresh_ttl_sec, factor, address=origin.address, client=origin.client)
        async with self._database.tenant(person.tenant_id) as connection:
            session = await sessions.open_session(connection, person.tenant_id, opening, self._clock.now())
            token = await refresh.issue(connection, person.tenant_id, session.id, 0, self._clock)
            actor = Actor(str(person.id), person.email, person.role.value, origin.address, origin.client)
            diff = {"factor": (None, factor)}
            entry = AuditEntry("create", "login.succeeded", "session", str(session.id), actor, diff)
            await record(connection, entry, self._clock.now())
        _log.info("login", tenant=str(person.tenant_id), user=str(person.id), session=str(session.id), factor=factor)
        return await self._granted(person, session, token)

    async def renew(self, renewed: Renewed) -> Granted:
        """The next tokens of a session. Raises REFRESH_REFUSED when its user may not have them any more."""
        identity = await self._people.tenant_identity(renewed.tenant_id)
        person = await self._people.get(renewed.tenant_id, renewed.session.user_id)
        if person is None or not person.may_sign_in:
            raise refresh.refusal()
        if identity.requires_factor(person.role) and renewed.session.factor is None:
            raise refresh.refusal()
        return await self._granted(person, renewed.session, renewed.token)

    async def access_token(self, person: Person, session: Session, ttl_sec: int) -> str:
        """An access token of ``session``."""
        identity = await self._people.tenant_identity(person.tenant_id)
        subject = Subject(person.id, identity.slug, identity.sip_domain, person.role, session.id)
        return self._tokens.issue(subject, ttl_sec)

    async def _granted(self, person: Person, session: Session, token: str) -> Granted:
        identity = await self._people.tenant_identity(person.tenant_id)
        left = round((session.expires_at - self._clock.now()).total_seconds())
        access = await self.access_token(person, session, identity.jwt_ttl_sec)
        return Granted(session.id, access, identity.jwt_ttl_sec, token, left)
