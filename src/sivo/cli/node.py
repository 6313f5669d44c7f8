"""``sivo node``: take the node on this machine out of service without dropping a call, and back."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from sivo.base.settings import Settings
from sivo.cli.client import CliError

group = typer.Typer(help="The node on this machine.", no_args_is_help=True)


@group.command("drain")
def drain(
    wait: Annotated[float, typer.Option("--wait", min=0, help="Seconds to stay until the last call has ended.")] = 0.0,
) -> None:
    """Take no new calls; those that run go on. Exit status 1: calls are left when the time of --wait is over.

    An edge learns of it with its next OPTIONS (503) and brings calls to the other nodes. `sivo node resume`, or a start
    of the node, ends it.
    """
    settings = _here()
    settings.drained_file.unlink(missing_ok=True)
    settings.drain_file.touch(mode=0o600)
    deadline = time.monotonic() + wait
    while not settings.drained_file.exists():
        if time.monotonic() >= deadline:
            if wait:
                raise CliError(f"calls are still running after {wait:g} s; the node goes on draining", 1)
            typer.echo("draining: no new calls")
            return
        time.sleep(0.1)
    typer.echo("drained: the node may be stopped")


@group.command("resume")
def resume() -> None:
    """Take calls again."""
    settings = _here()
    settings.drain_file.unlink(missing_ok=True)
    typer.echo("the node takes calls again")


def _here() -> Settings:
    settings = Settings()
    if not settings.run_dir.is_dir():
        raise CliError(f"there is no node in {settings.home}; SIVO_HOME says where it is", 2)
    return settings
