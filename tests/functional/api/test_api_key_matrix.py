"""Every route × every scope of an API key, generated from the application as the matrix of roles is."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from test_api_matrix import Route, routes_of

from sivo.api.app import create_app
from sivo.base.settings import Settings
from sivo.db.scopes import Database
from sivo.identity.access import Role, StepUpGate
from sivo.identity.api_key_scopes import ANY, Scope, granted, scope_for
from support.running_api import RunningApi, running_api

#: Routes that no key may reach, whatever its scopes; written out, so that a line too many in the table is seen.
CLOSED = {
    ("POST", "/api/api-keys"),
    ("DELETE", "/api/api-keys/{key_id}"),
    ("DELETE", "/api/tenants/{tenant_id}"),
    ("POST", "/api/tenants/{tenant_id}/restore"),
    ("GET", "/api/tenants/{tenant_id}/export"),
    ("PATCH", "/api/tenants/{tenant_id}"),
    ("POST", "/api/auth/agent"),
    ("POST", "/api/auth/step-up"),
    ("POST", "/api/me/password"),
    ("POST", "/api/me/recovery-codes"),
    ("POST", "/api/signing-keys/rotate"),
    ("PUT", "/api/limits/{limit}"),
}


@pytest.fixture
async def api(settings: Settings, database: Database) -> AsyncIterator[RunningApi]:
    async with running_api(settings, database) as running:
        yield running


def stepped_up(app: FastAPI) -> set[tuple[str, str]]:
    """Routes that ask for password or factor again."""

    def asks(dependant: Dependant) -> bool:
        return any(isinstance(one.call, StepUpGate) or asks(one) for one in dependant.dependencies)

    found = set()
    for route in iter_route_contexts(app.routes):
        dependant = getattr(route.original_route, "dependant", None)
        if dependant is not None and asks(dependant):
            found |= {(method, str(route.path)) for method in route.methods or ()}
    return found


async def key_with(api: RunningApi, tenant: str, scopes: list[str]) -> str:
    body = {"name": "matrix", "role": "admin", "scopes": scopes}
    return str((await api.ok("POST", "/api/api-keys", body, tenant))["key"])


async def call(api: RunningApi, route: Route, key: str) -> tuple[httpx.Response, str | None]:
    answer = await api.http.request(route.method, route.url, headers={"Authorization": f"Bearer {key}"})
    problem = "problem" in answer.headers.get("content-type", "")
    return answer, answer.json().get("code") if problem else None


async def test_a_key_reaches_what_its_scope_and_its_role_allow_and_no_other_route(api: RunningApi) -> None:
    app = create_app(api.context)
    routes = [route for route in routes_of(app) if route.permissions]
    asking = stepped_up(app)
    tenant = await api.tenant("acme")
    everything = [str(one) for one in Scope]
    alone = {scope: await key_with(api, tenant, [scope]) for scope in everything}
    without = {
        scope: await key_with(api, tenant, [one for one in everything if scope not in granted([one])])
        for scope in everything
    }
    all_scopes = await key_with(api, tenant, everything)
    closed = set()
    for route in routes:
        scope = scope_for(route.method, route.url)
        if scope is None:
            closed.add(route.key)
            answer, code = await call(api, route, all_scopes)
            assert (answer.status_code, code) == (403, "API_KEY_CLOSED"), route
            continue
        if scope != ANY:
            answer, code = await call(api, route, without[scope])
            assert (answer.status_code, code) == (403, "INSUFFICIENT_SCOPE"), (scope, route)
        answer, code = await call(api, route, alone[scope] if scope != ANY else all_scopes)
        if Role.ADMIN not in route.roles:
            assert (answer.status_code, code) == (403, "INSUFFICIENT_ROLE"), (scope, route, answer.text)
        elif route.key in asking:
            assert (answer.status_code, code) == (403, "API_KEY_NO_STEP_UP"), (scope, route, answer.text)
        else:
            assert answer.status_code not in (401, 403) and answer.status_code < 500, (scope, route, answer.text)
    assert closed >= CLOSED
    assert {scope_for(route.method, route.url) for route in routes} >= set(everything), "a scope that opens nothing"
