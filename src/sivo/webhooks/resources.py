"""Webhook endpoints: where a tenant wants its events sent."""

from __future__ import annotations

import secrets
from datetime import timedelta
from difflib import get_close_matches
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, Field

from sivo.base.errors import SivoError
from sivo.config.hooks import CheckContext
from sivo.config.kinds import Body, ResourceKind, SecretField, register_kind
from sivo.config.values import HttpUrl, Name
from sivo.events.catalogue import CATALOGUE
from sivo.identity.permissions import Permission


def _known_event(value: str) -> str:
    if value != "*" and value not in CATALOGUE:
        near = get_close_matches(value, CATALOGUE, n=1)
        raise ValueError(f"there is no event {value[:60]!r}" + (f", did you mean {near[0]}?" if near else ""))
    return value


#: An event type of the catalogue, or ``*`` for all.
EventName = Annotated[str, AfterValidator(_known_event)]


#: A signing secret that was replaced signs beside the new one for so long: receivers change over one after another.
OVERLAP = timedelta(hours=24)


def signing_secret() -> str:
    """A signing secret for an endpoint that was given none: 256 random bits."""
    return "whsec_" + secrets.token_urlsafe(32)


class WebhookEndpoint(Body):
    """One receiver. The overrides stand in for ``webhooks.retry_max_attempts`` and ``webhooks.timeout_ms``."""

    name: Name | None = None
    url: HttpUrl
    events: Annotated[list[EventName], Field(min_length=1, max_length=50, default_factory=lambda: ["*"])]
    active: bool = True
    retry_max_attempts: Annotated[int, Field(ge=0, le=12)] | None = None
    timeout_ms: Annotated[int, Field(ge=500, le=30_000)] | None = None


async def _check(context: CheckContext, resource_id: UUID, body: dict[str, Any]) -> None:
    if body["url"].startswith("http://") and not context.allow_http:
        raise SivoError(
            "VALIDATION_FAILED",
            "a webhook endpoint must be https://",
            where="webhook_endpoint.url",
            remedy="use https, or let the operator allow plain http for an allow-listed address",
        )


WEBHOOK_ENDPOINT = register_kind(
    ResourceKind(
        name="webhook_endpoint",
        plural="webhooks",
        model=WebhookEndpoint,
        secrets=(SecretField("secret", generate=signing_secret, min_length=16, max_length=256, overlap=OVERLAP),),
        check=_check,
        read=Permission.WEBHOOKS_READ,
        write=Permission.WEBHOOKS_WRITE,
    )
)
