"""Canary tenants: made through the API as any tenant is, with one of every kind of resource and a marker in each."""

from __future__ import annotations

import random
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sivo.config import all_kinds
from sivo.config.kinds import ResourceKind
from sivo.isolation.doors import Door

EXTENSION = "201"
SECRET = "canary"  # noqa: S105 - the name of a secret


@dataclass(slots=True)
class Canary:
    """One canary. ``ids`` maps plurals of resources and names of path parameters to what it owns."""

    tenant_id: UUID
    slug: str
    domain: str
    console: str
    marker: str
    door: Door
    sip_password: str = ""
    ids: dict[str, str] = field(default_factory=dict)
    #: Kinds that there is no canary of, with the reason.
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def marks(self) -> set[str]:
        """Texts that stand nowhere but in what belongs to this canary."""
        return {str(self.tenant_id), self.slug, self.marker, *(one for one in self.ids.values() if len(one) > 16)}


def new_slug() -> str:
    """A slug for a canary; kept before the tenant is made, so that whatever happens it is found again."""
    return f"canary-{secrets.token_hex(8)}"


async def make(operator: Door, door: Door, slug: str) -> Canary:
    """Make the tenant ``slug``, fill it, and sign its administrator in through ``door``."""
    marker = f"mark{secrets.token_hex(10)}"
    tenant = await operator.must("POST", "/api/tenants", {"slug": slug, "name": f"Canary {marker}", "plan": "pro"})
    tenant_id = UUID(tenant["id"])
    # An administrator may sign in without a second factor here: a tenant's own choice, made by the public path.
    await operator.must("PATCH", "/api/config", {"auth.mfa_required_roles": ["superadmin"]}, tenant_id)
    config = await operator.must("GET", "/api/config", tenant=tenant_id)
    canary = Canary(
        tenant_id, slug, str(config["tenant.sip_domain"]), str(config["tenant.dashboard_url"]), marker, door
    )
    await _sign_in(operator, canary)
    for kind in _in_order(all_kinds.load()):
        await _make_kind(operator, canary, kind)
    await _wish(operator, canary)
    canary.ids |= {"tenant_id": str(tenant_id), "user_id": canary.ids["users"], "endpoint_id": canary.ids["webhooks"]}
    return canary


async def _sign_in(operator: Door, canary: Canary) -> None:
    email, password = f"{canary.marker}@{canary.slug}.example", secrets.token_urlsafe(24)
    body = {"email": email, "name": canary.marker, "role": "admin"}
    user = await operator.must("POST", "/api/users", body, canary.tenant_id)
    canary.ids["users"] = str(user["id"])
    await operator.must("POST", f"/api/users/{user['id']}/password", {"password": password}, canary.tenant_id)
    login = {"email": email, "password": password, "tenant": canary.slug}
    canary.door.token = str((await canary.door.must("POST", "/api/auth/login", login))["access_token"])
    sessions = await canary.door.must("GET", "/api/me/sessions")
    canary.ids["session_id"] = str(sessions["items"][0]["id"])
    await canary.door.must("POST", "/api/me/factors/totp", {"name": canary.marker})


async def _wish(operator: Door, canary: Canary) -> None:
    """A change that waits for its time."""
    at = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    body = {"patch": {"ai.max_turns": 7}, "apply_at": at, "reason": canary.marker}
    made = await operator.must("POST", "/api/changes", body, canary.tenant_id)
    canary.ids["change_id"] = str(made["change"]["id"])


def _in_order(kinds: dict[str, ResourceKind]) -> list[ResourceKind]:
    """What others refer to comes first."""
    first = ("user", "extension", "trunk", "ai_agent")
    return sorted(
        (kind for kind in kinds.values() if kind.name not in ("tenant", "user")),
        key=lambda kind: (first.index(kind.name) if kind.name in first else len(first), kind.name),
    )


def _body(canary: Canary, kind: str) -> dict[str, Any] | None:
    """The canary's resource of a kind; None: this kind has none yet."""
    number = f"+1999{random.randint(10**9, 10**10 - 1)}"  # noqa: S311 - a number that nobody has
    bodies: dict[str, dict[str, Any]] = {
        "extension": {"number": EXTENSION, "name": canary.marker, "user": canary.ids.get("users")},
        "trunk": {"name": canary.marker, "cidrs": ["192.0.2.1/32"]},
        "ai_agent": {"name": canary.marker, "greeting": canary.marker},
        "did": {
            "number": number,
            "name": canary.marker,
            "trunk": canary.ids.get("trunks"),
            "target": {"kind": "extension", "id": canary.ids.get("extensions")},
        },
        "recording_policy": {"name": canary.marker},
        "transcription_policy": {"name": canary.marker},
        "webhook_endpoint": {"name": canary.marker, "url": f"https://{canary.slug}.example/hook", "events": ["*"]},
        "lead_inbox": {"email": f"{canary.marker}@{canary.slug}.example"},
        "change_control": {"reason_required": False},
        "schedule": {"name": canary.marker, "hours": {"mon": {"open": "09:00", "close": "18:00"}}},
        "ring_group": {"name": canary.marker, "extensions": [canary.ids.get("extensions")]},
        "carrier_limits": {"calls_per_minute": 30},
        "secret": {"value": f"{canary.marker}-value", "host": f"{canary.slug}.example"},
        "api_key": {"name": canary.marker, "role": "viewer", "scopes": ["config:read"]},
    }
    return bodies.get(kind)


async def _make_kind(operator: Door, canary: Canary, kind: ResourceKind) -> None:
    body = _body(canary, kind.name)
    if body is None:
        canary.missing[kind.name] = "no canary of this kind: add its body to sivo/isolation/canaries.py"
        return
    method, path = ("PUT", f"/api/secrets/{SECRET}") if kind.name == "secret" else ("POST", f"/api/{kind.plural}")
    answer = await operator.ask(method, path, body, headers={"X-Tenant-Id": str(canary.tenant_id)})
    if answer.status // 100 != 2:
        canary.missing[kind.name] = f"{method} {path} was answered {answer.status} {answer.code}"
        return
    canary.ids[kind.plural] = str(answer.json["id"])
    if kind.name == "extension":
        canary.sip_password = str(answer.json["sip_password"])
