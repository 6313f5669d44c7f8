"""``sivo``: the command line of the platform."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from sivo.base.errors import SivoError
from sivo.cli import admin, backup, call, config, ledger, resource, secret, tenant, webhook
from sivo.cli.client import CliError

app = typer.Typer(
    name="sivo",
    help="The SIVO contact centre: run it, set it up, ask it why.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(tenant.group, name="tenant")
app.add_typer(admin.group, name="admin")
for noun in resource.NOUNS:
    app.add_typer(resource.commands(noun), name=noun.name)
app.add_typer(config.group, name="config")
app.add_typer(secret.group, name="secret")
app.add_typer(ledger.group, name="ledger")
app.add_typer(call.group, name="call")
app.add_typer(webhook.group, name="webhook")


app.command("backup")(backup.backup)
app.command("restore")(backup.restore)


@app.command("run")
def run(role: Annotated[str, typer.Argument(help="One role; all of them if absent.")] = "") -> None:
    """Start the platform, or one role of it, in the foreground."""
    from sivo.node import supervise  # the other commands need none of it

    raise typer.Exit(supervise.main(role or None))


def main() -> None:
    """Entry point of the console script; errors are one line, never a traceback of ours."""
    try:
        app()
    except CliError as error:
        print(str(error), file=sys.stderr)
        raise SystemExit(error.status) from None
    except SivoError as error:
        print(str(error), file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
