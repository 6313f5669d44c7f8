"""What the rooms' routers are built with: one of each long-lived service of an ``api`` process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sivo.base.clock import Clock
from sivo.base.settings import Settings

if TYPE_CHECKING:
    from sivo.config.resources import Resources
    from sivo.db.scopes import Database
    from sivo.identity.service import Identity
    from sivo.vault.vault import Vault


@dataclass(frozen=True, slots=True)
class Context:
    """Handed to every room's ``make_router(context)``; a room keeps what it needs and nothing else.

    Made by ``sivo.api.services.open_context``.
    """

    settings: Settings
    clock: Clock
    database: Database
    vault: Vault
    resources: Resources
    identity: Identity
