"""``sivo edge``: the configuration of Kamailio and rtpengine in front of several nodes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from sivo.base.settings import Settings
from sivo.cli.client import CliError

group = typer.Typer(help="Kamailio and rtpengine in front of several nodes.", no_args_is_help=True)


@group.callback()
def _group() -> None:
    """Kamailio and rtpengine in front of several nodes."""


@group.command("render")
def render(
    out: Annotated[Path, typer.Option("--out", help="Folder of the files; made with mode 0700.")],
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing: say what differs, and what `kamailio -c` has against it.")
    ] = False,
    reload: Annotated[
        bool, typer.Option("--reload", help="Tell the running Kamailio what has changed, where it needs no restart.")
    ] = False,
) -> None:
    """Write the configuration of an edge from the database; SIVO_EDGE_… say where it stands.

    With --check: exit status 0 when everything is as it should be, 1 when a file differs or Kamailio refuses it.
    """
    from sivo.base import logs  # the other commands need none of these
    from sivo.edge import folder as files
    from sivo.edge.render import state

    logs.configure("cli", "warning")
    out = out.absolute()
    wanted = asyncio.run(_wanted(out))
    if check:
        _check(out, wanted)
        return
    changed = files.write(out, wanted, state())
    typer.echo(f"{out}: {', '.join(changed)}" if changed else f"{out}: nothing has changed")
    for order in files.orders(changed) if reload else ():
        if order == "restart":
            typer.echo("this takes effect when Kamailio is started again")
        elif not files.tell(out, order):
            raise CliError(f"no Kamailio that runs on {out} took the order {order}", 1)


async def _wanted(out: Path) -> dict[str, str]:
    from sivo.db.connect import connect
    from sivo.edge.keys import EdgeKeys
    from sivo.edge.place import Place
    from sivo.edge.reading import read
    from sivo.edge.render import render as text_of
    from sivo.vault.vault import Vault

    try:
        place = Place()  # type: ignore[call-arg]  # from the environment
    except ValidationError as error:
        faults = "; ".join(f"SIVO_EDGE_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors())
        raise CliError(f"where the edge stands is not known: {faults}", 2) from None
    settings = Settings()
    database = await connect(settings)
    try:
        vault = await Vault.for_node(database, settings)
        known = await read(database, vault, settings, place.digest)
        return text_of(place, await EdgeKeys.open(vault), known, out)
    finally:
        await database.close()


def _check(out: Path, wanted: dict[str, str]) -> None:
    from sivo.edge import folder as files
    from sivo.edge.render import state

    differing = files.differing(out, wanted)
    try:
        refused = files.faults(wanted, state(), out)
    except FileNotFoundError:
        raise CliError("there is no program kamailio here to check the configuration with", 2) from None
    if refused:
        raise CliError(f"Kamailio refuses it: {refused}", 1)
    if differing:
        raise CliError(f"{out} is not what the database says: {', '.join(differing)}", 1)
    typer.echo(f"{out}: as the database says, and Kamailio takes it")
