"""``sivo backup`` and ``sivo restore``: one file with everything but the key-encryption key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sivo.base.settings import Settings


def backup(path: Annotated[Path, typer.Argument(help="File to write, for example sivo-2026-11-22.tar.")]) -> None:
    """Write a backup; the platform may be running. Keep the key file (SIVO_HOME/kek) somewhere else."""
    import asyncio

    from sivo.node.backup import backup as write  # PostgreSQL tooling that other commands do not need

    report = asyncio.run(write(_settings(), path))
    print(f"{report.path}: {report.files} files, {report.size_bytes} bytes, schema {report.schema}")
    print(f"It opens only with key {report.kek_id}: {Settings().kek_file} is not in it.")


def restore(
    path: Annotated[Path, typer.Argument(help="File that `sivo backup` wrote.")],
    replace: Annotated[bool, typer.Option("--replace", help="Throw away what the database holds now.")] = False,
) -> None:
    """Bring a backup back into SIVO_HOME; the platform must not be running."""
    import asyncio

    from sivo.node.backup import restore as bring_back

    report = asyncio.run(bring_back(_settings(), path, replace=replace))
    print(f"restored {report.files} files, schema {report.schema}; start the platform with `sivo run`")


def _settings() -> Settings:
    from sivo.base import logs  # a fifth of the start of every other command

    settings = Settings()
    logs.configure("cli", "warning")  # what is worth saying is printed
    return settings
