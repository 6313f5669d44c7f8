"""From a request to its caller: a bearer token on TCP, the kernel's word on the local socket."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from fastapi import Request

from sivo.audit import log as audit
from sivo.base.clock import Clock
from sivo.base.errors import SivoError, register
from sivo.config import state
from sivo.config.change import Author
from sivo.db.scopes import Database
from sivo.identity import sessions
from sivo.identity.access import TENANT_HEADER, Caller, Role
from sivo.identity.api_key_format import MARK
from sivo.identity.api_keys import ApiKeys
from sivo.identity.client_address import Network, client_address
from sivo.identity.directory import Directory
from sivo.identity.hosts import Hosts
from sivo.identity.overrides import Overrides
from sivo.identity.people import People, Person, person
from sivo.identity.rates import GENERAL, Standing
from sivo.identity.sessions import Session
from sivo.identity.shared_rates import GeneralRates
from sivo.identity.token_cache import TokenCache
from sivo.identity.tokens import Claims, Tokens, refused

#: Name under which the uid of a local caller stands in ``scope["state"]``. Only the protocol class of the local
#: socket (``sivo.api.server``) can put it there; no header reaches that dictionary.
PEER_UID = "sivo_peer_uid"


#: Name under which the rate limit of a request stands in ``scope["state"]``; ``sivo.api.limits`` makes headers of it.
STANDING = "sivo_rate_limit"
#: Authenticated endpoints with a published limit of their own.
OWN_LIMIT = frozenset({"/api/auth/agent", "/auth/agent"})


def note_standing(request: Request, standing: Standing) -> None:
    """Let the answer tell where the client stands. Raises RATE_LIMITED when it went too far."""
    request.scope.setdefault("state", {})[STANDING] = standing.headers()
    standing.check()


def peer_uid(request: Request) -> int | None:
    """The uid of the process at the other end of the local socket; None on TCP."""
    uid: int | None = request.scope.get("state", {}).get(PEER_UID)
    return uid


TENANT_HOST_MISMATCH = register("TENANT_HOST_MISMATCH", 401)


class Authentication:
    """The authenticator of an ``api`` process."""

    def __init__(
        self,
        database: Database,
        hosts: Hosts,
        directory: Directory,
        people: People,
        tokens: Tokens,
        rates: GeneralRates,
        overrides: Overrides,
        clock: Clock,
        proxies: tuple[Network, ...] = (),
    ) -> None:
        self._database = database
        self._proxies = proxies
        self._hosts = hosts
        self._directory = directory
        self._people = people
        self._tokens = tokens
        self._rates = rates
        self._overrides = overrides
        self._clock = clock
        self._keys = ApiKeys(database, clock)
        self.cache = TokenCache(clock)

    async def authenticate(self, request: Request, token: str | None) -> Caller:
        """The caller of ``request``, counted under the general limit.

        Raises UNAUTHENTICATED without a valid token, RATE_LIMITED above 600 requests a minute, TENANT_HOST_MISMATCH on
        the host of another tenant, INSUFFICIENT_ROLE when somebody other than a superadmin names another tenant,
        NOT_FOUND when the named tenant is not there.
        """
        uid = peer_uid(request)
        if token is None and uid is not None:
            local = Caller(None, None, Role.SUPERADMIN, Author(f"local:{uid}", Role.SUPERADMIN.value))
            return await self._in_tenant(self._seen_from(local, request), request)
        if token is None:
            raise SivoError("UNAUTHENTICATED", "this route needs an access token", where="header Authorization")
        caller = await self._remembered(token) or await self._verify(token)
        if request.scope["path"] not in OWN_LIMIT:
            limit = self._overrides.limit(GENERAL, caller.home_id)
            counted_by = f"key:{caller.key_id}" if caller.key_id else str(caller.user_id)
            note_standing(request, await self._rates.take(limit, counted_by))
        caller = await self._in_tenant(self._seen_from(caller, request), request)
        if caller.key_id is not None:
            self._keys.used(caller, caller.author.ip)
        await self.check_host(request, caller.tenant_id)
        return caller

    async def check_host(self, request: Request, tenant_id: UUID | None) -> None:
        """On the host of a tenant's console only that tenant is served. Raises TENANT_HOST_MISMATCH."""
        owner = await self._hosts.owner(request.headers.get("host", ""))
        if owner is not None and owner != tenant_id:
            raise SivoError(
                TENANT_HOST_MISMATCH,
                "this token belongs to another tenant than this host",
                where="header Host",
                remedy="use the host of your own tenant, or the shared API host",
            )

    def identity_changed(self, payload: str) -> None:
        """Notification that sessions of a tenant ended; empty: anything may have happened."""
        try:
            self.cache.forget_tenant(UUID(payload))
        except ValueError:
            self.cache.clear()

    async def _remembered(self, token: str) -> Caller | None:
        """What is remembered of a token, as far as a change of it would have been told."""
        known = self.cache.get(token)
        if known is None or self._database.listening:
            return known
        try:
            return await self._verify(token)
        except SivoError as error:
            if error.code != "UNAVAILABLE":
                raise
            return known  # for the minute that the cache keeps it

    async def _verify(self, token: str) -> Caller:
        generation = self.cache.generation
        if token.startswith(MARK):
            found = await self._keys.verify(token)
            self.cache.put(token, found.caller, found.until, generation)
            return found.caller
        claims = await self._tokens.verify(token)
        tenant_id = await self._directory.tenant_of_session(claims.session_id)
        if tenant_id is None:
            raise refused("the session of this token is not known")
        session, user = await self._check_session(tenant_id, claims)
        caller = Caller(
            tenant_id,
            claims.user_id,
            claims.role,
            Author(f"user:{claims.user_id}", claims.role.value, user.email, person=f"user:{claims.user_id}"),
            claims.session_id,
            tenant_id,
            session.confirmed_at,
        )
        until = min(claims.expires_at, int(session.expires_at.timestamp()))
        self.cache.put(token, caller, until, generation)
        return caller

    async def _check_session(self, tenant_id: UUID, claims: Claims) -> tuple[Session, Person]:
        """The session is open, the user still there and in the role that the token says, with the factor it needs."""
        async with self._database.tenant(tenant_id) as connection:
            session = await sessions.find_session(connection, claims.session_id)
            user = await person(connection, tenant_id, claims.user_id)
            identity = await self._people.identity_in(connection, tenant_id) if user else None
        if session is None or session.user_id != claims.user_id or not session.valid_at(self._clock.now()):
            raise refused("the session of this token has ended")
        if user is None or identity is None or not user.may_sign_in or user.role != claims.role:
            raise refused("the user of this token has changed")
        if identity.requires_factor(user.role) and session.factor is None:
            raise refused("this role needs a second factor now")
        return session, user

    def _seen_from(self, caller: Caller, request: Request) -> Caller:
        """The caller as the audit log names them: with the address and the client of this request."""
        peer = request.client.host if request.client else ""
        forwarded = request.headers.getlist("x-forwarded-for") if self._proxies else []
        address = str(client_address(peer, forwarded, self._proxies) or "") if forwarded else peer
        known = caller.author
        author = Author(  # by hand: dataclasses.replace costs ten times as much, and every request comes by here
            known.name,
            known.role,
            known.email,
            address,
            request.headers.get("user-agent", ""),
            known.cross_tenant,
            known.person,
        )
        return Caller(
            caller.tenant_id,
            caller.user_id,
            caller.role,
            author,
            caller.session_id,
            caller.home_id,
            caller.confirmed_at,
            caller.key_id,
            caller.scopes,
        )

    async def _in_tenant(self, caller: Caller, request: Request) -> Caller:
        header = request.headers.get(TENANT_HEADER)
        if header is None:
            return caller
        try:
            wanted = UUID(header)
        except ValueError:
            raise SivoError(
                "VALIDATION_FAILED", "not the id of a tenant", where=f"header {TENANT_HEADER}", remedy="send a UUID"
            ) from None
        if wanted == caller.tenant_id:
            return caller
        if caller.role is not Role.SUPERADMIN:
            raise SivoError("INSUFFICIENT_ROLE", "only a superadmin names another tenant", where=TENANT_HEADER)
        author = replace(caller.author, cross_tenant=True)
        await self._enter(wanted, author, request)
        return replace(caller, tenant_id=wanted, author=author)

    async def _enter(self, tenant_id: UUID, author: Author, request: Request) -> None:
        """Write into the tenant's own audit log that somebody from outside comes in, and for what."""
        endpoint = f"{request.method} {_door(request)}"
        async with self._database.tenant(tenant_id) as connection:
            if await state.tenant_row(connection, tenant_id) is None:
                raise SivoError("NOT_FOUND", f"there is no tenant {tenant_id}", where=f"header {TENANT_HEADER}")
            entry = author.did("access", "tenant.accessed", "endpoint", endpoint)
            await audit.record(connection, entry, self._clock.now())


def _door(request: Request) -> str:
    """The path as its route declares it, with the ids of this request. Anything else that somebody wrote into the path
    (a password in the wrong place, say) stays out of the log."""
    path = str(getattr(request.scope.get("route"), "path_format", ""))
    for name, value in request.path_params.items():
        try:
            path = path.replace(f"{{{name}}}", str(UUID(str(value))))
        except ValueError:
            continue
    return path
