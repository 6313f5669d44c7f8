"""The ``media`` role: one process, about one core, of calls."""

from __future__ import annotations

import asyncio
import contextlib
import os

from sivo.base import logs
from sivo.base.clock import SystemClock
from sivo.base.settings import Settings
from sivo.media.conversation import Start
from sivo.media.journal_writer import JournalDisk
from sivo.media.process import Parts
from sivo.media.server import MediaServer
from sivo.media.sockets import PortPool
from sivo.node import ready

log = logs.get("media")
#: Of a media process, where the system allows it (-20 first, 19 last).
NICENESS = -10


async def run(settings: Settings, stop: asyncio.Event, index: int = 0, start: Start | None = None) -> None:
    """Serve until ``stop`` is set. ``index`` says which of the node's media processes this is.

    ``start`` makes conversations; by default the AI runner does.
    """
    from sivo.outbound.client import GuardedClient
    from sivo.speech.vad import SileroBatch
    from sivo.transcription.live import start as transcribe

    if start is None:
        from sivo.ai.runner import start as start_agent

        start = start_agent
    settings.run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings.journal_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    shares = settings.media_processes or os.cpu_count() or 1
    disk = JournalDisk(asyncio.get_running_loop())
    http = GuardedClient.from_settings(settings)
    parts = Parts(
        clock=SystemClock(),
        disk=disk,
        journal_dir=settings.journal_dir,
        ports=PortPool(settings.rtp_port_min, settings.rtp_port_max, index, max(shares, index + 1)),
        call_cap=settings.media_call_cap,
        vad=SileroBatch(),
        http=http,
        start=start,
        transcribe=transcribe,
    )
    server = MediaServer(index, parts)
    await server.start(settings.media_socket(index))
    log.info("media serves", index=index, call_cap=settings.media_call_cap, niceness=_before_others())
    ready.announce()
    try:
        await stop.wait()
    finally:
        await server.stop()
        await http.close()
        await asyncio.to_thread(disk.close)
        settings.media_socket(index).unlink(missing_ok=True)
        log.info("media stopped", index=index, **server.process.load())


def _before_others() -> int:
    """Ask the system to run this process before the others of the machine; its niceness.

    A web page may wait for ten milliseconds, a voice may not. Without the right to it (``CAP_SYS_NICE``) nothing
    changes.
    """
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
    return os.getpriority(os.PRIO_PROCESS, 0)
