"""From the database to the view of an edge, through the loader that nodes read their tenants with."""

from __future__ import annotations

from sivo.base.settings import Settings
from sivo.db.scopes import Database
from sivo.edge.view import View, view
from sivo.routing.directory import TenantPicture
from sivo.routing.loader import Loader
from sivo.vault.vault import Vault


async def read(database: Database, vault: Vault, settings: Settings, algorithm: str) -> View:
    """Everything of all tenants, each read in its own scope. Raises SivoError."""
    loader = Loader(database, vault, settings)
    pictures: list[TenantPicture] = []
    for tenant_id in sorted(await loader.versions()):
        picture = await loader.load(tenant_id)
        if picture is not None:
            pictures.append(picture)
    return view(pictures, algorithm)
