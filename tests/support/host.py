"""How much of the processor the host of a virtual machine kept to itself (``steal`` of proc(5))."""

from __future__ import annotations

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


def _processor_time() -> tuple[int, int]:
    """Ticks of all processors so far: worked, and stolen."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    idle, waiting, stolen = fields[3], fields[4], fields[7]
    return sum(fields[:8]) - idle - waiting - stolen, stolen
