"""Whether a node that takes calls for a long time stays as it is: memory, descriptors, ports and tasks."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path

from support.holdings import Holdings, figure, look
from support.kills import pids
from support.running_node import Node

ROLES = ("call", "worker", "api", "speech")
SAMPLE_SECONDS = 5.0


@dataclass(frozen=True)
class Sample:
    """``memory``: MB by process (its own pages); ``tasks``: of call and media together."""

    at: float
    memory: dict[str, float]
    holdings: Holdings
    tasks: int


@dataclass
class Steady:
    """Samples of a node, the first of them with no call."""

    node: Node
    media_processes: int
    samples: list[Sample] = field(default_factory=list)

    async def watch(self, until: float) -> None:
        """Take one every :data:`SAMPLE_SECONDS` until that monotonic second."""
        while time.monotonic() < until:
            self.samples.append(await asyncio.to_thread(self.take))
            await asyncio.sleep(SAMPLE_SECONDS)

    def take(self) -> Sample:
        """Now."""
        found = {role: pids(self.node, role) for role in ROLES}
        found |= {f"media-{index}": pids(self.node, "media", index) for index in range(self.media_processes)}
        tasks = int(figure(self.node, "sivo_call_tasks") + figure(self.node, "sivo_media_tasks"))
        memory = {name: sum(_own_mb(pid) for pid in known) for name, known in found.items()}
        return Sample(time.monotonic(), memory, look(self.node, self.media_processes), tasks)

    def slopes(self, since: float) -> dict[str, float]:
        """MB a minute by process, from ``since`` on: the slope between the medians of the first and the last third,
        so that one garbage collection more or less says nothing."""
        kept = [one for one in self.samples if one.at >= since]
        third = max(len(kept) // 3, 1)
        early, late = kept[:third], kept[-third:]
        minutes = (_median([one.at for one in late]) - _median([one.at for one in early])) / 60
        return {
            name: (_median([one.memory[name] for one in late]) - _median([one.memory[name] for one in early])) / minutes
            for name in kept[0].memory
        }


def _median(values: list[float]) -> float:
    ordered = sorted(values)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


def _own_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    private = (line.split()[1] for line in lines if line.startswith(("Private_Clean", "Private_Dirty")))
    return sum(int(kb) for kb in private) / 1024
