"""``sivo``: the command line of the platform."""

from __future__ import annotations

import os
import sys
from typing import Annotated, NoReturn

import typer
from pydantic import ValidationError

from sivo.base.errors import SivoError
from sivo.cli import (
    admin,
    apikey,
    audit,
    backup,
    call,
    change,
    config,
    edge,
    isolation,
    keys,
    ledger,
    limit,
    login,
    moments,
    node,
    people,
    probe,
    provider,
    resource,
    secret,
    session,
    simulate,
    tenant,
    vault,
    webhook,
)
from sivo.cli.client import CliError

app = typer.Typer(
    name="sivo",
    help="The SIVO contact centre: run it, set it up, ask it why.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def place(
    url: Annotated[
        str,
        typer.Option(
            "--url",
            envvar=session.URL,
            help=f"Platform elsewhere; the API key comes from {session.KEY} or the file {session.KEY_FILE}.",
        ),
    ] = "",
) -> None:
    """The SIVO contact centre: run it, set it up, ask it why."""
    if url:
        os.environ[session.URL] = url


app.add_typer(tenant.group, name="tenant")
app.add_typer(apikey.group, name="apikey")
app.add_typer(admin.group, name="admin")
for noun in resource.NOUNS:
    nouns_group = resource.commands(noun)
    if noun.name == "user":
        people.add(nouns_group)
    if noun.name in ("schedule", "did"):
        moments.add(nouns_group, noun.plural)
    app.add_typer(nouns_group, name=noun.name)
app.add_typer(config.group, name="config")
app.add_typer(change.group, name="change")
app.add_typer(secret.group, name="secret")
app.add_typer(ledger.group, name="ledger")
app.add_typer(keys.group, name="keys")
app.add_typer(limit.group, name="limit")
app.add_typer(vault.group, name="vault")
app.add_typer(call.group, name="call")
app.add_typer(provider.group, name="provider")
app.add_typer(probe.group, name="probe")
app.add_typer(webhook.group, name="webhook")
app.add_typer(node.group, name="node")
app.add_typer(edge.group, name="edge")
audit.group.command("isolation")(isolation.isolation)
app.add_typer(audit.group, name="audit")


app.command("login")(login.login)
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
app.command("simulate")(simulate.simulate)


@app.command("run")
def run(
    role: Annotated[str, typer.Argument(help="One role; all of them if absent.")] = "",
    index: Annotated[int, typer.Option("--index", min=0, help="Which of the media processes.")] = 0,
) -> None:
    """Start the platform, or one role of it, in the foreground."""
    from sivo.node import roles, supervise  # the other commands need none of it

    if role and role not in roles.ROLES:
        raise CliError(f"there is no role {role!r}; the roles are {', '.join(sorted(roles.ROLES))}", 2)
    raise typer.Exit(supervise.main(role or None, index))


def main() -> None:
    """Entry point of the console script; errors are one line, never a traceback of ours."""
    try:
        app()
    except CliError as error:
        _end(str(error), error.status)
    except SivoError as error:
        _end(str(error), 1)
    except ValidationError as error:  # of the settings: everything else is checked by the platform
        faults = "; ".join(f"SIVO_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors())
        _end(f"a setting in the environment is not usable: {faults}", 2)


def _end(message: str, status: int) -> NoReturn:
    print(message, file=sys.stderr)
    raise SystemExit(status) from None


if __name__ == "__main__":
    main()
