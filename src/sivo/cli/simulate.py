"""``sivo simulate``: the vendors as local doubles, for people without accounts."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from sivo.cli.client import CliError


def simulate(
    port: Annotated[int, typer.Option(min=1, max=65535, help="TCP port.")] = 8099,
    host: Annotated[str, typer.Option(help="Address to serve on.")] = "127.0.0.1",
    script: Annotated[
        Path | None, typer.Option(help="JSON file: API key -> script; only these keys are then accepted.")
    ] = None,
) -> None:
    """Serve doubles of the speech and language vendors until interrupted; any API key is accepted without --script."""
    from sivo.simulators import role
    from sivo.simulators.script import Script, World

    world = World(anyone=script is None)
    if script is not None:
        try:
            scripts = TypeAdapter(dict[str, Script]).validate_json(script.read_bytes())
        except (OSError, ValidationError) as error:
            raise CliError(f"{script}: {error}", 2) from error
        for key, one in scripts.items():
            world.make(key, one)

    async def serve() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        print(f"simulators on http://{host}:{port}; scripts and ledgers below /sim", flush=True)
        await role.run(world, host, port, stop)

    asyncio.run(serve())
