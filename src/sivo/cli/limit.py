"""``sivo limit``: rate limits apart from the published ones."""

from __future__ import annotations

from typing import Annotated

import typer

from sivo.cli.output import show, table
from sivo.cli.session import AsJson, Reason, connect

group = typer.Typer(help="Rate limits apart from the published ones.", no_args_is_help=True)
Limit = Annotated[str, typer.Argument(help="login, agent, leads or requests.")]
Subject = Annotated[str, typer.Option("--for", help="platform, tenant:<id>, or network:<cidr> for login and leads.")]


@group.command("list")
def list_limits(as_json: AsJson = False) -> None:
    """What is published, and what was set apart from it."""
    answer = connect().call("GET", "/api/limits").body
    if as_json:
        show(answer)
        return
    table(answer["published"], ("limit", "amount", "window_sec"))
    if answer["overrides"]:
        table(answer["overrides"], ("limit", "subject", "amount", "author", "reason"))


@group.command("set")
def set_limit(
    limit: Limit,
    amount: Annotated[int, typer.Argument(min=1, help="Requests in the limit's window.")],
    subject: Subject = "platform",
    reason: Reason = "",
) -> None:
    """Set an amount, in every process at once."""
    body = {"subject": subject, "amount": amount, "reason": reason}
    show(connect().call("PUT", f"/api/limits/{limit}", body).body)


@group.command("unset")
def unset_limit(limit: Limit, subject: Subject = "platform", reason: Reason = "") -> None:
    """Go back to what is published."""
    body = {"subject": subject, "amount": None, "reason": reason}
    show(connect().call("PUT", f"/api/limits/{limit}", body).body)
