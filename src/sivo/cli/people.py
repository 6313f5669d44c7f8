"""``sivo user invite`` and ``sivo user reset``: links by which people choose their own passwords."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import typer

from sivo.cli.admin import user_id_of
from sivo.cli.output import show
from sivo.cli.resource import reason_header
from sivo.cli.session import Reason, Tenant, connect_to

Who = Annotated[str, typer.Argument(help="E-mail address or id.")]


def add(group: typer.Typer) -> None:
    """Add both to the commands of users."""

    @group.command("invite")
    def invite(
        tenant: Tenant,
        email: Annotated[str, typer.Option("--email", help="E-mail address to sign in with.")],
        name: Annotated[str, typer.Option("--name", help="Name of the person.")] = "",
        role: Annotated[str, typer.Option("--role", help="agent, viewer, supervisor or admin.")] = "agent",
        language: Annotated[str, typer.Option("--language", help="es, en, de, fr, it or pt.")] = "",
        extension: Annotated[str, typer.Option("--extension", help="Number of their extension.")] = "",
        reason: Reason = "",
    ) -> None:
        """Make a user and mail them a link; without a mail server the link is printed, this one time."""
        body: dict[str, str] = {"email": email, "name": name or email.partition("@")[0], "role": role}
        body.update({key: value for key, value in (("language", language), ("extension", extension)) if value})
        client, tenant_id = connect_to(tenant)
        headers = reason_header(reason)
        show(client.call("POST", "/api/users/invite", body, tenant=tenant_id, headers=headers).body)

    @group.command("reset")
    def reset(who: Who, tenant: Tenant) -> None:
        """Mail somebody a link to choose a new password; without a mail server the link is printed, this one time."""
        client, tenant_id = connect_to(tenant)
        try:
            user_id = str(UUID(who))
        except ValueError:
            user_id = user_id_of(client, tenant_id, who)
        show(client.call("POST", f"/api/users/{user_id}/reset", tenant=tenant_id).body)
