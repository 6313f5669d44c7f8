"""Users: people who sign in. Their passwords are credentials of this room, not part of the resource."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, EmailStr

from sivo.base.errors import SivoError
from sivo.config.hooks import CheckContext
from sivo.config.kinds import Body, ResourceKind, Unique, register_kind
from sivo.config.room_rules import watcher
from sivo.config.values import ExtensionNumber, Name
from sivo.identity import host_change
from sivo.identity.api_key_kind import API_KEY as API_KEY  # registers its kind


def _lower(value: str) -> str:
    return value.lower()


class User(Body):
    """A person of one tenant; ``language`` overrides ``tenant.default_locale`` for them."""

    email: Annotated[EmailStr, AfterValidator(_lower)]
    name: Name
    role: Literal["agent", "viewer", "supervisor", "admin", "superadmin"] = "agent"
    language: Literal["es", "en", "de", "fr", "it", "pt"] | None = None
    #: Number of the extension at which this person is reached.
    extension: ExtensionNumber | None = None
    active: bool = True


async def _check(context: CheckContext, resource_id: UUID, body: dict[str, Any]) -> None:
    if body["role"] == "superadmin" and context.role != "superadmin":
        raise SivoError(
            "INSUFFICIENT_ROLE",
            "only a superadmin can give the role superadmin",
            where="user.role",
            remedy="choose agent, viewer, supervisor or admin",
        )


USER = register_kind(
    ResourceKind(
        name="user",
        plural="users",
        model=User,
        unique=(
            Unique("user.email", ("email",), platform_wide=True),
            Unique("user.extension", ("extension",)),
        ),
        check=_check,
    )
)

watcher(host_change.watch)
