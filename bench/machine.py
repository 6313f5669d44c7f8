"""What a figure was measured on; printed with every figure."""

from __future__ import annotations

import asyncio
import os
import platform
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from support.host import MOST_STOLEN, Stolen, left_alone

Found = TypeVar("Found")


def describe() -> str:
    """One line: processor, cores, memory, kernel, Python, and what else the machine was doing."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.processor() or "unknown processor",
    )
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 1024**2
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB, Linux {platform.release()}, "
        f"Python {platform.python_version()}, load before {load}"
    )


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` (0 to 1) of ``values`` lie; nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def row(name: str, values: Sequence[float], unit: str) -> str:
    """One line with median, p95 and maximum."""
    return (
        f"  {name:<44} median {percentile(values, 0.5):8.1f}  p95 {percentile(values, 0.95):8.1f}  "
        f"max {max(values):8.1f}  {unit}  (n={len(values)})"
    )


def usage(pid: int) -> tuple[float, int]:
    """CPU seconds (user and system) of a process so far, and its resident memory in KiB."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    resident = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return cpu, int(resident.split()[1])


@dataclass(frozen=True)
class Rounds(Generic[Found]):
    """What several rounds found, and of how many nothing is known because the machine was not ours."""

    found: list[Found]
    void: int
    #: Largest share of the wanted processor time that the host kept in a round of ``found``.
    stolen: float

    def told(self) -> str:
        """How far the rounds can be believed, in a line."""
        kept = f"{len(self.found)} rounds, the host took at most {100 * self.stolen:.0f} % in one"
        if self.stolen > MOST_STOLEN:
            return f"{kept}: NOT VALID, this machine was never left alone"
        return f"{kept}; {self.void} void" if self.void else kept


async def rounds(
    run: Callable[[], Awaitable[Found]], wanted: int, *, most: int = 12, patience: float = 120.0
) -> Rounds[Found]:
    """Repeat ``run`` until ``wanted`` rounds were undisturbed (``steal`` of proc(5)), at most ``most`` times.

    Each waits up to ``patience`` seconds for a machine left alone. When too few were undisturbed, the least disturbed
    are told.
    """
    seen: list[tuple[float, Found]] = []
    while len(seen) < most and sum(stolen <= MOST_STOLEN for stolen, _ in seen) < wanted:
        await asyncio.to_thread(left_alone, patience)
        host = Stolen()
        found = await run()
        seen.append((host.share(), found))
    best = sorted(seen, key=lambda one: one[0])[:wanted]
    void = sum(stolen > MOST_STOLEN for stolen, _ in seen)
    return Rounds([found for _, found in best], void, max(stolen for stolen, _ in best))
