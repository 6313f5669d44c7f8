"""Every route × every role, generated from the application itself: a route that is added without a gate fails here."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import httpx
import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts

from sivo.api.app import create_app
from sivo.base.settings import Settings
from sivo.db.scopes import Database
from sivo.identity.access import RoleGate
from sivo.identity.permissions import TABLE, Permission, Role, roles_of
from support.running_api import RunningApi, running_api

#: The closed list of routes that need no token. A route that is added here needs a reason in the review.
OPEN = {
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/.well-known/jwks.json"),
    ("GET", "/api/openapi.json"),
    ("POST", "/api/auth/login"),
    ("POST", "/auth/login"),
    ("POST", "/api/auth/refresh"),
    ("POST", "/auth/refresh"),
    # These take the token of a one-time link, or answer everybody alike; test_mail_links and test_mail_leads show it.
    ("POST", "/api/auth/password/forgot"),
    ("POST", "/auth/password/forgot"),
    ("POST", "/api/auth/password/reset"),
    ("POST", "/auth/password/reset"),
    ("POST", "/api/auth/invitation/accept"),
    ("POST", "/auth/invitation/accept"),
    ("POST", "/api/auth/email/confirm"),
    ("POST", "/auth/email/confirm"),
    ("POST", "/api/public/leads"),
    # These take the token of a login that is not finished; test_identity_mfa shows that nothing else opens them.
    ("POST", "/api/auth/mfa"),
    ("POST", "/api/auth/mfa/webauthn/options"),
    ("POST", "/api/auth/mfa/enrol/totp"),
    ("POST", "/api/auth/mfa/enrol/totp/confirm"),
    ("POST", "/api/auth/mfa/enrol/webauthn/options"),
    ("POST", "/api/auth/mfa/enrol/webauthn"),
}
PASSWORD = "correct horse battery"


@dataclass(frozen=True)
class Route:
    """One method of one path, and the permissions that its gates name."""

    method: str
    path: str
    permissions: frozenset[Permission]

    @property
    def roles(self) -> frozenset[Role]:
        """The roles that the table lets through all of them."""
        return frozenset.intersection(*(roles_of(one) for one in self.permissions))

    @property
    def key(self) -> tuple[str, str]:
        return self.method, self.path

    @property
    def url(self) -> str:
        return re.sub(r"\{[^}]+\}", "0198c5a0-0000-7000-8000-000000000000", self.path)


def _permissions(dependant: Dependant) -> frozenset[Permission]:
    """What the gates among the dependencies of a route name."""
    found: set[Permission] = set()
    for child in dependant.dependencies:
        if isinstance(child.call, RoleGate):
            found.add(child.call.permission)
        found |= _permissions(child)
    return frozenset(found)


def routes_of(app: FastAPI) -> Iterator[Route]:
    for route in iter_route_contexts(app.routes):
        dependant = getattr(route.original_route, "dependant", None)
        named = _permissions(dependant) if dependant is not None else frozenset()
        for method in sorted((route.methods or set()) - {"HEAD"}):
            yield Route(method, str(route.path), named)


@pytest.fixture
async def api(settings: Settings, database: Database) -> AsyncIterator[RunningApi]:
    async with running_api(settings, database) as running:
        yield running


async def _tokens(api: RunningApi) -> dict[Role, str]:
    tenant = await api.tenant("acme")
    tokens = {}
    for number, role in enumerate(Role, start=1):
        await api.user(tenant, f"{role}@acme.example", PASSWORD, role=role.value)
        answer = await api.login(f"{role}@acme.example", PASSWORD, source=f"127.0.1.{number}")
        tokens[role] = answer.json()["access_token"]
    return tokens


async def _call(api: RunningApi, route: Route, token: str | None) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return await api.http.request(route.method, route.url, headers=headers)


async def test_every_route_names_a_permission_but_those_of_the_closed_list(api: RunningApi) -> None:
    """A new route that names no permission of the table stands here, and has to be given one."""
    routes = list(routes_of(create_app(api.context)))
    assert {route.key for route in routes if not route.permissions} == OPEN
    named = {one for route in routes for one in route.permissions}
    assert named == set(TABLE), "a line of the table that no route names, or the other way round"


async def test_without_a_token_every_route_answers_401(api: RunningApi) -> None:
    routes = [route for route in routes_of(create_app(api.context)) if route.key not in OPEN]
    assert len(routes) > 20
    for route in routes:
        for token in (None, "not-a-token"):
            answer = await _call(api, route, token)
            assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHENTICATED"), route
            assert answer.headers["www-authenticate"] == "Bearer"


async def test_every_role_gets_through_the_gates_that_admit_it_and_no_other(api: RunningApi) -> None:
    tokens = await _tokens(api)
    routes = [r for r in routes_of(create_app(api.context)) if r.permissions and "logout" not in r.path]
    for role, token in tokens.items():
        for route in routes:
            answer = await _call(api, route, token)
            code = answer.json().get("code") if "problem" in answer.headers.get("content-type", "") else None
            if role in route.roles:
                assert answer.status_code != 401 and code != "INSUFFICIENT_ROLE", (role, route, answer.text)
                assert answer.status_code < 500, (role, route, answer.text)
            else:
                assert (answer.status_code, code) == (403, "INSUFFICIENT_ROLE"), (role, route)


#: A few cells of the published matrix written out by hand, so that a gate that is wrong everywhere is seen too.
EXPECTED = [
    ("GET", "/api/config", {"agent", "viewer", "supervisor", "admin", "superadmin"}),
    ("PATCH", "/api/config", {"admin", "superadmin"}),
    ("GET", "/api/dids", {"viewer", "supervisor", "admin", "superadmin"}),
    ("POST", "/api/dids", {"admin", "superadmin"}),
    ("POST", "/api/trunks", {"admin", "superadmin"}),
    ("GET", "/api/webhooks", {"viewer", "supervisor", "admin", "superadmin"}),
    ("POST", "/api/users", {"admin", "superadmin"}),
    ("DELETE", "/api/users/{id}", {"admin", "superadmin"}),
    ("POST", "/api/users/{user_id}/password", {"admin", "superadmin"}),
    ("PUT", "/api/secrets/{name}", {"admin", "superadmin"}),
    ("GET", "/api/secrets", {"viewer", "supervisor", "admin", "superadmin"}),
    ("POST", "/api/tenants", {"superadmin"}),
    ("POST", "/api/users/invite", {"admin", "superadmin"}),
    ("POST", "/api/users/{user_id}/reset", {"admin", "superadmin"}),
    ("DELETE", "/api/leads/{lead_id}", {"admin", "superadmin"}),
    ("GET", "/api/mail", {"admin", "superadmin"}),
    ("DELETE", "/api/trunks/{id}", {"admin", "superadmin"}),
    ("GET", "/api/trunk-states", {"viewer", "supervisor", "admin", "superadmin"}),
    ("GET", "/api/calls", {"agent", "viewer", "supervisor", "admin", "superadmin"}),
    ("GET", "/api/calls/{call_id}/transcript", {"agent", "viewer", "supervisor", "admin", "superadmin"}),
    ("GET", "/api/calls/{call_id}/trace", {"viewer", "supervisor", "admin", "superadmin"}),
    ("POST", "/api/calls/{call_id}/transfer", {"supervisor", "admin", "superadmin"}),
    ("POST", "/api/calls/{call_id}/supervise", {"supervisor", "admin", "superadmin"}),
    ("GET", "/api/recordings/{recording_id}/audio", {"agent", "viewer", "supervisor", "admin", "superadmin"}),
    ("GET", "/api/recordings/{recording_id}/download", {"admin", "superadmin"}),
    ("GET", "/api/audit", {"supervisor", "admin", "superadmin"}),
    ("GET", "/api/audit/export.csv", {"supervisor", "admin", "superadmin"}),
    ("PATCH", "/api/tenants/{tenant_id}", {"superadmin"}),
    ("GET", "/api/users", {"viewer", "supervisor", "admin", "superadmin"}),
    ("GET", "/api/colleagues", {"agent", "viewer", "supervisor", "admin", "superadmin"}),
    ("POST", "/api/signing-keys/rotate", {"superadmin"}),
    ("PUT", "/api/limits/{limit}", {"superadmin"}),
]


async def test_cells_of_the_published_matrix(api: RunningApi) -> None:
    def shape(path: str) -> str:
        return re.sub(r"\{[^}]+\}", "{}", path)

    found = {
        (route.method, shape(route.path)): {role.value for role in route.roles}
        for route in routes_of(create_app(api.context))
        if route.permissions
    }
    wrong = {
        (method, path): found.get((method, shape(path)))
        for method, path, roles in EXPECTED
        if found.get((method, shape(path))) != roles
    }
    assert not wrong
