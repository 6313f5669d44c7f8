"""What a running node holds for its calls, as the kernel and its own figures tell it."""

from __future__ import annotations

import asyncio
import os
import re
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from support.kills import pids
from support.running_node import Node

#: Connections of a role's pool to the database (``db/connect.py``).
POOL = 10


@dataclass(frozen=True)
class Holdings:
    """Of the call role and every media process together."""

    #: UDP sockets: RTP and RTCP of legs, and SIP's own.
    ports: int
    #: Open descriptors of any kind, but for connections of the call role: those are its pool to the database, which
    #: grows with load up to its bound and belongs to no call.
    descriptors: int
    connections: int
    #: Calls that have not ended.
    calls: int

    def within(self, before: Holdings) -> bool:
        """Whether nothing is held that was not held ``before``."""
        held = self.ports <= before.ports and self.descriptors <= before.descriptors and self.calls <= before.calls
        return held and self.connections <= before.connections + POOL


def look(node: Node, media_processes: int) -> Holdings:
    """Now."""
    call = [link for pid in pids(node, "call") for link in _descriptors(pid)]
    media = [
        link for index in range(media_processes) for pid in pids(node, "media", index) for link in _descriptors(pid)
    ]
    datagrams = {f"socket:[{inode}]" for inode in _udp_inodes()}
    streams = [link for link in call if link.startswith("socket:") and link not in datagrams]
    ports = sum(link in datagrams for link in call + media)
    running = int(figure(node, "sivo_calls_running"))
    return Holdings(ports, len(call) + len(media) - len(streams), len(streams), running)


async def back(node: Node, before: Holdings, media_processes: int, seconds: float) -> tuple[Holdings, float]:
    """Wait until what is held is ``within(before)``, at most ``seconds``; what is held then, and how long it took."""
    began = time.monotonic()
    while True:
        now = await asyncio.to_thread(look, node, media_processes)
        took = time.monotonic() - began
        if now.within(before) or took >= seconds:
            return now, took
        await asyncio.sleep(0.1)


def figure(node: Node, metric: str) -> float:
    """Sum of a metric over its labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{node.platform.operator_port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return sum(float(value) for value in re.findall(rf"^{metric}(?:\{{[^}}]*\}})? (\S+)$", text, re.M))


def processor_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _descriptors(pid: int) -> list[str]:
    found = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            found.append(str(entry.readlink()))
    return found


def _udp_inodes() -> set[str]:
    lines = [line for name in ("udp", "udp6") for line in Path("/proc/net", name).read_text().splitlines()[1:]]
    return {line.split()[9] for line in lines}
