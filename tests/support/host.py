"""How much of the processor the host of a virtual machine kept to itself (``steal`` of proc(5))."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

#: A measurement counts while the host kept at most this share of the time that was wanted.
MOST_STOLEN = 0.05


class Stolen:
    """The share that the host kept since this was made."""

    def __init__(self) -> None:
        self._before = _processor_time()

    def share(self) -> float:
        """0 to 1, of the time that processes here wanted."""
        worked, stolen = (now - then for now, then in zip(_processor_time(), self._before, strict=True))
        return stolen / max(worked + stolen, 1)


_SPIN = "import os, sys, time; os.sched_setaffinity(0, {int(sys.argv[1])}); end = time.monotonic() + 0.5\n"
_SPIN += "while time.monotonic() < end: pass"


def left_alone(seconds: float = 120.0) -> bool:
    """Wait until the host gives all cores when they are wanted, at most so long; whether it does. Blocks.

    What the host keeps shows only while somebody wants it: each core is kept busy for half a second every few seconds.
    """
    until = time.monotonic() + seconds
    while True:
        host = Stolen()
        cores = range(os.cpu_count() or 1)
        busy = [subprocess.Popen([sys.executable, "-c", _SPIN, str(core)]) for core in cores]
        for process in busy:
            process.wait()
        if host.share() <= MOST_STOLEN:
            return True
        if time.monotonic() > until:
            return False
        time.sleep(2.0)


def _processor_time() -> tuple[int, int]:
    """Ticks of all processors so far: worked, and stolen."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    idle, waiting, stolen = fields[3], fields[4], fields[7]
    return sum(fields[:8]) - idle - waiting - stolen, stolen
