"""An API key as a resource: what stands in the ledger of a key. Its hash does not."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field, StringConstraints

from sivo.base.errors import SivoError
from sivo.config.hooks import CheckContext
from sivo.config.kinds import Body, ResourceKind, register_kind
from sivo.config.values import Name
from sivo.identity.api_key_scopes import Scope
from sivo.identity.permissions import Permission

KIND = "api_key"
KeyRole = Literal["agent", "viewer", "supervisor", "admin"]
#: From the weakest to the strongest; nobody makes a key that may more than they may.
RANKS = ("agent", "viewer", "supervisor", "admin", "superadmin")


class ApiKey(Body):
    """A key of a machine. It is never changed, only revoked; ``expires_at`` None: it does not expire."""

    name: Name
    prefix: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]{10}$")]
    role: KeyRole
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=len(Scope))]
    expires_at: AwareDatetime | None = None

    def valid_at(self, now: datetime) -> bool:
        """Not expired."""
        return self.expires_at is None or now < self.expires_at


async def _check(context: CheckContext, resource_id: UUID, body: dict[str, Any]) -> None:
    if context.role not in RANKS or RANKS.index(body["role"]) > RANKS.index(context.role):
        raise SivoError(
            "INSUFFICIENT_ROLE",
            f"role {context.role} makes no key of role {body['role']}",
            where="api_key.role",
            remedy="choose a role that is no stronger than your own",
        )


API_KEY = register_kind(
    ResourceKind(
        name=KIND,
        plural="api-keys",
        model=ApiKey,
        check=_check,
        immutable=("name", "prefix", "role", "scopes", "expires_at"),
        read=Permission.API_KEYS_MANAGE,
        write=Permission.API_KEYS_MANAGE,
    )
)
