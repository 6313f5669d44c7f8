"""SIPp as a judge: started with a scenario, and what it counted at the end."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Counted:
    """The cumulative column of SIPp's last screen of statistics; ``failed``: whatever was not as in the scenario."""

    successful: int
    failed: int
    retransmissions: int
    output: str


@dataclass
class Running:
    """A SIPp that runs beside the test. Its screens go to a file: a pipe that nobody reads would stop it."""

    process: asyncio.subprocess.Process
    screens: Path

    async def done(self, timeout: float) -> Counted:
        """Wait for its end; AssertionError when it is not done after ``timeout`` seconds."""
        try:
            await asyncio.wait_for(self.process.wait(), timeout)
        except TimeoutError:
            raise AssertionError(f"SIPp was not done after {timeout:.0f} s\n{self._tail()}") from None
        return counted(self.screens.read_text(errors="replace"))

    def _tail(self) -> str:
        return self.screens.read_text(errors="replace")[-4000:]


_ARROW = re.compile(r"[A-Z0-9]+ (--+>|<--+)").search
_serials = itertools.count(1)


async def sipp(*arguments: str, cwd: Path, timeout: float) -> Counted:
    """Run SIPp until its calls are done."""
    async with started(*arguments, cwd=cwd) as running:
        return await running.done(timeout)


@asynccontextmanager
async def started(*arguments: str, cwd: Path) -> AsyncIterator[Running]:
    """A SIPp in the background; killed at the end if it still runs."""
    screens = cwd / f"sipp-{next(_serials)}.txt"
    with screens.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            "sipp", *arguments, "-nostdin", stdout=output, stderr=asyncio.subprocess.STDOUT, cwd=cwd
        )
    try:
        yield Running(process, screens)
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def counted(output: str) -> Counted:
    """Read the last screen."""
    return Counted(
        _last(output, "Successful call"), _last(output, "Failed call"), _retransmissions(output), output[-6000:]
    )


def _last(output: str, label: str) -> int:
    lines = [line for line in output.splitlines() if label in line]
    return int(lines[-1].rpartition("|")[2]) if lines else -1


def _retransmissions(output: str) -> int:
    """Second number behind each arrow of the last scenario screen (a line without repetitions has fewer than three)."""
    screen = output[output.rfind("Messages  Retrans") :]
    counts = [re.findall(r"\b\d+\b", re.split(r"--+>|<--+", line)[1]) for line in screen.splitlines() if _ARROW(line)]
    return sum(int(numbers[1]) for numbers in counts if len(numbers) >= 3)
