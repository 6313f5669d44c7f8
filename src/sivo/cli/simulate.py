"""``sivo simulate``: the vendors as local doubles, for people without accounts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from sivo.cli.client import CliError

if TYPE_CHECKING:
    import ssl


def simulate(
    port: Annotated[int, typer.Option(min=1, max=65535, help="TCP port.")] = 8099,
    host: Annotated[str, typer.Option(help="Address to serve on.")] = "127.0.0.1",
    script: Annotated[
        Path | None, typer.Option(help="JSON file: API key -> script; only these keys are then accepted.")
    ] = None,
    tls_certificate: Annotated[Path | None, typer.Option(help="PEM chain: serve https:// and wss://.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM key of it.")] = None,
) -> None:
    """Serve doubles of the speech and language vendors until interrupted; any API key is accepted without --script."""
    import asyncio  # the other commands need none of these
    import signal

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
    tls = _tls(tls_certificate, tls_key)

    async def serve() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        print(f"simulators on {'https' if tls else 'http'}://{host}:{port}; scripts and ledgers below /sim", flush=True)
        await role.run(world, host, port, stop, tls)

    asyncio.run(serve())


def _tls(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise CliError("--tls-certificate and --tls-key go together", 2)
    import ssl

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise CliError(f"{certificate}: {error}", 2) from error
    return context
