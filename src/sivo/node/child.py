"""Entry of one role process: ``python -m sivo.node.child ROLE [INDEX]``."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import uvloop

from sivo.base import logs
from sivo.base.settings import Settings
from sivo.node.parent import die_with_parent
from sivo.node.roles import ROLES, Role, run_role


async def _until_signalled(role: Role, index: int, settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    await run_role(role, index, settings, stop)


def main(argv: list[str] | None = None) -> int:
    """Run one role in the foreground until SIGTERM or SIGINT."""
    arguments = sys.argv[1:] if argv is None else argv
    role = ROLES[arguments[0]]
    index = int(arguments[1]) if len(arguments) > 1 else 0
    parent = os.environ.pop("SIVO_SUPERVISOR_PID", "")
    if parent:
        die_with_parent(int(parent))
    settings = Settings()
    logs.configure(f"{role.name}-{index}" if role.per_core else role.name, settings.log_level)
    uvloop.run(_until_signalled(role, index, settings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
