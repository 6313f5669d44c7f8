"""Assembly of the HTTP application: every room's router, one error shape, one authenticator."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import FastAPI

from sivo.api import health, problems
from sivo.api.context import Context


def create_app(context: Context) -> FastAPI:
    """The ASGI application of one ``api`` process."""
    app = FastAPI(title="SIVO", version=version("sivo"), openapi_url="/api/openapi.json", docs_url=None, redoc_url=None)
    app.state.context = context
    problems.install(app)
    app.include_router(health.make_router(context))
    return app
