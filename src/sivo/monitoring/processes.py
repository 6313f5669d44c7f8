"""What the kernel says about a process (proc(5))."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from sivo.monitoring.book import Reading
from sivo.monitoring.declared import BUILD, PROCESS_CPU, PROCESS_FILES, PROCESS_MEMORY

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def readings(name: str, pid: int) -> Iterator[Reading]:
    """Processor time, memory and descriptors of a process; nothing when it is gone."""
    labels = {"process": name}
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        files = len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return
    yield PROCESS_CPU, labels, (int(fields[11]) + int(fields[12])) / _TICKS
    yield PROCESS_MEMORY, labels, float(int(fields[21]) * _PAGE)
    yield PROCESS_FILES, labels, float(files)


def build() -> Iterator[Reading]:
    """Which version this is."""
    yield BUILD, {"version": version("sivo")}, 1.0
