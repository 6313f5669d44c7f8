"""Who is asking, and whether they may: the gates that every route of the API is mounted behind.

A route takes its caller through one of two gates and never looks at a token itself::

    @router.get("/api/calls")
    async def list_calls(who: Annotated[Principal, Depends(require(Permission.CALLS_READ))]) -> ...

    @router.post("/api/tenants")
    async def create(who: Annotated[Operator, Depends(operator(Permission.TENANTS_MANAGE))]) -> ...

Which roles have a permission stands in :mod:`sivo.identity.permissions` and nowhere else. ``superadmin`` passes every
gate; it names the tenant it works on with the header ``X-Tenant-Id``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Protocol
from uuid import UUID

from fastapi import Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from sivo.base.errors import SivoError, register
from sivo.config.change import Author
from sivo.identity.api_key_scopes import ANY, scope_for
from sivo.identity.permissions import Permission as Permission
from sivo.identity.permissions import Role as Role
from sivo.identity.permissions import roles_of

#: A superadmin called a tenant's route without saying which tenant.
TENANT_REQUIRED = register("TENANT_REQUIRED", 400)

#: What the caller wants needs password or factor again; see :data:`STEP_UP_LIFE`.
STEP_UP_REQUIRED = register("STEP_UP_REQUIRED", 403)

#: An API key came to a dangerous action: those are for people, who can show password or factor.
API_KEY_NO_STEP_UP = register("API_KEY_NO_STEP_UP", 403)
#: An API key came to a route that is closed to keys, or that needs a scope which it does not have.
API_KEY_CLOSED = register("API_KEY_CLOSED", 403)
INSUFFICIENT_SCOPE = register("INSUFFICIENT_SCOPE", 403)

TENANT_HEADER = "X-Tenant-Id"
#: Where the caller of a request stands in its state once it is found.
_CALLER = "sivo_caller"
#: Dangerous actions are open for so long after a login or a step-up.
STEP_UP_LIFE = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller inside one tenant. ``author`` is what the ledger records: ``user:<uuid>`` or ``local:<uid>``."""

    tenant_id: UUID
    user_id: UUID | None
    role: Role
    author: Author


@dataclass(frozen=True, slots=True)
class Operator:
    """A superadmin acting on the platform, outside any tenant."""

    user_id: UUID | None
    author: Author


@dataclass(frozen=True, slots=True)
class Caller:
    """What authentication found out, before a gate was asked. ``tenant_id`` is None for an operator at large."""

    tenant_id: UUID | None
    user_id: UUID | None
    role: Role
    author: Author
    session_id: UUID | None = None
    #: The tenant that the caller belongs to; differs from ``tenant_id`` for a superadmin who named another.
    home_id: UUID | None = None
    #: When the caller last showed password or factor in this session.
    confirmed_at: datetime | None = None
    #: The API key that the request came with, and what it may reach (see ``api_key_scopes``).
    key_id: UUID | None = None
    scopes: frozenset[str] = frozenset()


class Authenticator(Protocol):
    """Turns a request into a caller; raises UNAUTHENTICATED, RATE_LIMITED or INSUFFICIENT_ROLE."""

    async def authenticate(self, request: Request, token: str | None) -> Caller: ...


_bearer = HTTPBearer(auto_error=False, description="Access token from POST /api/auth/login, or an API key")


async def bearer_token(bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]) -> str | None:
    """The token of the Authorization header."""
    return bearer.credentials if bearer else None


class AccessToken(HTTPBearer):
    """A FastAPI dependency: the authenticated caller of this request; an API key only where its scopes reach.

    Security scheme, caller and gate are one dependency, since each level of them costs every request some 30 µs. The
    caller is found, and counted, once a request, however many gates ask. Raises SivoError UNAUTHENTICATED,
    API_KEY_CLOSED, INSUFFICIENT_SCOPE.
    """

    def __init__(self) -> None:
        super().__init__(
            scheme_name=_bearer.scheme_name, description=_bearer.model.description, auto_error=_bearer.auto_error
        )

    async def __call__(self, request: Request) -> Any:  # type: ignore[override]  # of HTTP only
        """The caller; gates answer with what their routes need of it."""
        return await self.caller(request)

    async def caller(self, request: Request) -> Caller:
        """Who sends ``request``."""
        state = request.scope.setdefault("state", {})
        found: Caller | None = state.get(_CALLER)
        if found is None:
            found = state[_CALLER] = await self._authenticated(request)
        return found

    @staticmethod
    async def _authenticated(request: Request) -> Caller:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        given = token.strip() if scheme.lower() == "bearer" else ""
        authenticator: Authenticator = request.app.state.authenticator
        caller = await authenticator.authenticate(request, given or None)
        if caller.key_id is not None:
            _check_scope(caller, scope_for(request.method, request.scope["path"]))
        return caller


current_caller = AccessToken()


def _check_scope(caller: Caller, wanted: str | None) -> None:
    if wanted is None:
        raise SivoError(API_KEY_CLOSED, "this route is not for API keys", remedy="sign in as a person")
    if wanted != ANY and wanted not in caller.scopes:
        raise SivoError(
            INSUFFICIENT_SCOPE,
            f"this API key does not have the scope {wanted}",
            remedy=f"make a key with the scope {wanted}",
            details={"scope": wanted, "scopes": sorted(caller.scopes)},
        )


class RoleGate(AccessToken):
    """A FastAPI dependency that lets those through who have ``permission``, in a tenant."""

    def __init__(self, permission: Permission) -> None:
        super().__init__()
        self.permission = permission
        self.roles = roles_of(permission)

    async def __call__(self, request: Request) -> Any:  # type: ignore[override]  # of HTTP only
        """The caller as a :class:`Principal`."""
        return self.principal(await self.caller(request))

    def principal(self, caller: Caller) -> Principal:
        """Raises INSUFFICIENT_ROLE (403), TENANT_REQUIRED (400)."""
        self.check(caller)
        if caller.tenant_id is None:
            raise SivoError(
                TENANT_REQUIRED,
                "this route belongs to a tenant and the request names none",
                where=f"header {TENANT_HEADER}",
                remedy="send the tenant's id in this header",
            )
        return Principal(caller.tenant_id, caller.user_id, caller.role, caller.author)

    def check(self, caller: Caller) -> None:
        """Raises INSUFFICIENT_ROLE (403)."""
        if caller.role not in self.roles:
            raise _refused(caller.role, self.roles)


class CallerGate(RoleGate):
    """As :class:`RoleGate`, without asking for a tenant: platform-wide work names none."""

    async def __call__(self, request: Request) -> Any:  # type: ignore[override]  # of HTTP only
        """The :class:`Caller`."""
        caller = await self.caller(request)
        self.check(caller)
        return caller


def require(permission: Permission) -> RoleGate:
    """A gate for those who have ``permission``; superadmin always passes, after naming a tenant.

    Raises INSUFFICIENT_ROLE (403) for everybody else and TENANT_REQUIRED (400) without a tenant.
    """
    return RoleGate(permission)


class OperatorGate(RoleGate):
    """A FastAPI dependency for work on the platform itself; no tenant is involved."""

    async def __call__(self, request: Request) -> Any:  # type: ignore[override]  # of HTTP only
        """The caller as an :class:`Operator`."""
        caller = await self.caller(request)
        self.check(caller)
        return Operator(caller.user_id, caller.author)


def operator(permission: Permission) -> OperatorGate:
    """A gate of routes that are the operator's."""
    return OperatorGate(permission)


require_operator = operator(Permission.PLATFORM_MANAGE)


class SessionGate(CallerGate):
    """A FastAPI dependency for routes about the caller's own session: there must be one."""

    async def __call__(self, request: Request) -> Any:  # type: ignore[override]  # of HTTP only
        """The :class:`Caller`, with a session."""
        caller = await self.caller(request)
        self.check(caller)
        if caller.session_id is None or caller.user_id is None or caller.home_id is None:
            raise SivoError("VALIDATION_FAILED", "a caller of the local socket has no session", where="session")
        return caller


own_session = SessionGate(Permission.OWN_PROFILE)


class StepUpGate(AccessToken):
    """A FastAPI dependency of dangerous actions: password or factor was shown within :data:`STEP_UP_LIFE`.

    Stands beside the gate of the role. The local socket needs none: the kernel has said who it is.
    """

    async def __call__(self, request: Request) -> Any:  # type: ignore[override]  # of HTTP only
        """Nothing, or STEP_UP_REQUIRED, API_KEY_NO_STEP_UP."""
        caller = await self.caller(request)
        if caller.key_id is not None:
            raise SivoError(API_KEY_NO_STEP_UP, "an API key cannot do this", remedy="sign in as a person and do it")
        if caller.session_id is None:
            return
        now = request.app.state.context.clock.now()
        if caller.confirmed_at is None or now - caller.confirmed_at > STEP_UP_LIFE:
            raise SivoError(
                STEP_UP_REQUIRED,
                "this action needs your password or second factor again",
                remedy="POST /api/auth/step-up, then repeat the request",
                details={"max_age_sec": int(STEP_UP_LIFE.total_seconds())},
            )


require_step_up = StepUpGate()


def _refused(role: Role, allowed: frozenset[Role]) -> SivoError:
    names = sorted(name.value for name in allowed)
    return SivoError(
        "INSUFFICIENT_ROLE",
        f"role {role.value} may not do this",
        remedy=f"ask somebody with one of the roles {', '.join(names)}",
        details={"role": role.value, "allowed": names},
    )
