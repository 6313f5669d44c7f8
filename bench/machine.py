"""What a figure was measured on; printed with every figure."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path


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
