"""Assembly of the HTTP application: every room's router, one error shape, one authenticator."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import FastAPI

from sivo.api import document, health, problems
from sivo.api.context import Context
from sivo.api.limits import BodyLimit, SecurityHeaders
from sivo.api.measured import Measured
from sivo.audit import routes as audit_routes
from sivo.calls import control_routes, edge_routes, live_routes, provider_routes
from sivo.calls import routes as call_routes
from sivo.config import change_routes
from sivo.config import routes as config_routes
from sivo.config.proposals import AwaitsApprovalError
from sivo.identity import api_key_routes, link_routes
from sivo.identity import routes as identity_routes
from sivo.isolation import routes as isolation_routes
from sivo.leads import routes as lead_routes
from sivo.mail import routes as mail_routes
from sivo.monitoring.book import Book
from sivo.recording import routes as recording_routes
from sivo.routing import routes as routing_routes
from sivo.schedules import routes as schedule_routes
from sivo.tenants import routes as tenant_routes
from sivo.webhooks import routes as webhook_routes

#: Rooms in the order of the API's document.
_ROOMS = (
    tenant_routes,
    api_key_routes,
    config_routes,
    schedule_routes,
    routing_routes,
    isolation_routes,
    audit_routes,
    call_routes,
    control_routes,
    live_routes,
    provider_routes,
    edge_routes,
    recording_routes,
    webhook_routes,
    link_routes,
    lead_routes,
    mail_routes,
)


def create_app(context: Context, book: Book | None = None) -> FastAPI:
    """The ASGI application of one ``api`` process; ``book`` counts its requests."""
    app = FastAPI(title="SIVO", version=version("sivo"), openapi_url="/api/openapi.json", docs_url=None, redoc_url=None)
    app.state.context = context
    app.state.authenticator = context.identity.authentication
    problems.install(app)
    app.add_exception_handler(AwaitsApprovalError, change_routes.waiting)
    app.add_middleware(BodyLimit)
    app.add_middleware(SecurityHeaders)
    if book is not None:
        app.add_middleware(Measured, book=book)
    routers = [health.make_router(context), identity_routes.make_router(context.identity)]
    routers += [room.make_router(context) for room in _ROOMS]
    for router in routers:
        # Not include_router, which would analyse every route once more and look through routers at every request.
        app.router.routes.extend(router.routes)
    document.describe(app)
    return app
