"""The OpenAPI document that clients are generated from."""

from __future__ import annotations

from sivo.base.settings import Settings
from sivo.db.scopes import Database
from support.running_api import running_api

#: What asks nobody who they are; everything else carries a security requirement.
OPEN_DOORS = {
    "/healthz",
    "/readyz",
    "/.well-known/jwks.json",
    "/api/auth/login",
    "/api/auth/refresh",
    "/api/auth/password/forgot",
    "/api/auth/password/reset",
    "/api/auth/invitation/accept",
    "/api/auth/email/confirm",
    "/api/public/leads",
}


async def test_the_document_is_openapi_31_and_names_every_door(settings: Settings, database: Database) -> None:
    async with running_api(settings, database) as api:
        document = (await api.http.get("/api/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    assert {"/api/auth/login", "/api/config", "/api/tenants", "/api/ai-agents", "/api/webhook-deliveries"} <= set(
        document["paths"]
    )
    assert "/auth/login" not in document["paths"], "an alias is not documented twice"
    assert list(document["components"]["securitySchemes"]) == ["HTTPBearer"]
    unsecured = {
        path
        for path, methods in document["paths"].items()
        for operation in methods.values()
        if not operation.get("security")
    }
    assert unsecured == OPEN_DOORS
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert "default" not in operation["responses"], "every status is documented by name"
            assert {"422", "429", "500", "503"} <= set(operation["responses"]), (method, path)
            assert operation.get("summary"), (method, path)
    assert "HTTPValidationError" not in document["components"]["schemas"]
