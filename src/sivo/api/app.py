"""Assembly of the HTTP application: every room's router, one error shape, one authenticator."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import FastAPI

from sivo.api import health, problems
from sivo.api.context import Context
from sivo.api.limits import BodyLimit, SecurityHeaders
from sivo.audit import routes as audit_routes
from sivo.config import routes as config_routes
from sivo.identity import routes as identity_routes
from sivo.recording import routes as recording_routes
from sivo.tenants import routes as tenant_routes
from sivo.webhooks import routes as webhook_routes

#: Rooms in the order of the API's document.
_ROOMS = (tenant_routes, config_routes, audit_routes, recording_routes, webhook_routes)


def create_app(context: Context) -> FastAPI:
    """The ASGI application of one ``api`` process."""
    app = FastAPI(title="SIVO", version=version("sivo"), openapi_url="/api/openapi.json", docs_url=None, redoc_url=None)
    app.state.context = context
    app.state.authenticator = context.identity.authentication
    problems.install(app)
    app.add_middleware(BodyLimit)
    app.add_middleware(SecurityHeaders)
    app.include_router(health.make_router(context))
    app.include_router(identity_routes.make_router(context.identity))
    for room in _ROOMS:
        app.include_router(room.make_router(context))
    return app
