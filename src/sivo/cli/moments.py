"""``sivo schedule at`` and ``sivo did at``: what happens at …?"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import typer

from sivo.cli.output import show
from sivo.cli.resource import Id
from sivo.cli.session import Tenant, connect_to

When = Annotated[str, typer.Argument(help="ISO 8601, such as 2026-12-24T13:30; without it: now.")]


def add(group: typer.Typer, plural: str) -> None:
    """The command ``at`` of one kind."""

    @group.command("at")
    def at(identifier: Id, tenant: Tenant, time: When = "") -> None:
        """Say what happens at a time, and by which rule."""
        client, tenant_id = connect_to(tenant)
        path = f"/api/{plural}/{quote(identifier, safe='')}/at"
        show(client.call("GET", path, tenant=tenant_id, time=time or None).body)
