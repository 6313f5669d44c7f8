"""``make bench-sip``: call set-ups per second and core, beside sippy's B2BUA and a Kamailio relay in the same run.

Every system gets the same calls from SIPp to SIPp: INVITE, 180, 200, ACK, half a second, BYE, at 50 calls a second.
What a core could carry is told from the processor time that the signalling processes spent on a call (user and system,
as the kernel counts it), and not from a rate at which something broke: that depends on the machine's other work. The
time to 180 is SIPp's own. All systems run at the same time and get their rounds in turn, because the speed of a
virtual machine is not the same from minute to minute; turns in which the host took the processor away are left out
(bench/machine.py).

SIVO does more for a call than its peers: it opens RTP ports in a media process, routes by a tenant's configuration and
writes the CDR, both legs and the ladder of messages. The processor time of media and PostgreSQL stands beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.machine import describe, percentile, rounds
from bench.sip import systems
from bench.sip.systems import System
from support.holdings import processor_seconds
from support.ports import free_port
from support.running_node import CARRIER
from support.sipp_run import Counted, sipp, started

GOAL_TIMES_SIPPY = 1.5
GOAL_RINGING_MS = 50.0
UAC = Path(__file__).with_name("uac.xml")


@dataclass(frozen=True)
class Found:
    """One round. ``spent``: processor milliseconds of signalling for one call; ``beside``: of other processes."""

    spent: float
    beside: dict[str, float]
    failed: int
    calls: int
    ringing_ms: list[float]


async def one_round(system: System, rate: int, seconds: int, cwd: Path) -> Found:
    """Bring the calls once."""
    calls = rate * seconds
    for old in cwd.glob("*_rtt.csv"):
        old.unlink()
    before = _spent(system)
    found = await bring(system, rate, calls, cwd, "-trace_rtt", "-rtt_freq", "1")
    after = _spent(system)
    each = {name: 1000 * (after[name] - before[name]) / calls for name in after}
    times = [float(line.split(";")[1]) for path in cwd.glob("*_rtt.csv") for line in path.read_text().splitlines()[1:]]
    return Found(each.pop("signalling"), each, found.failed, calls, times)


async def bring(system: System, rate: int, calls: int, cwd: Path, *options: str) -> Counted:
    """SIPp as the caller."""
    port = free_port(socket.SOCK_DGRAM, CARRIER)
    where = ("-i", CARRIER, "-mi", CARRIER, "-p", str(port), "-mp", "35300")
    load = ("-s", system.number, "-r", str(rate), "-m", str(calls))
    return await sipp(
        f"127.0.0.1:{system.port}", "-sf", str(UAC), *where, *load, *options, cwd=cwd, timeout=60 + 2 * calls / rate
    )


def _spent(system: System) -> dict[str, float]:
    groups = {"signalling": system.signalling, **system.beside}
    return {name: sum(processor_seconds(pid) for pid in pids) for name, pids in groups.items()}


@dataclass(frozen=True)
class Place:
    """A system that runs, and the folder that SIPp writes into for it."""

    system: System
    cwd: Path


@asynccontextmanager
async def ready(make: Callable[[int], AbstractAsyncContextManager[System]], rate: int) -> AsyncIterator[Place]:
    """One system with its phone, warm: its caches and pools have seen three seconds of calls."""
    with tempfile.TemporaryDirectory(prefix="sivo-bench-sip-") as folder:
        cwd, phone = Path(folder), free_port(socket.SOCK_DGRAM)
        async with make(phone) as system:
            where = ("-i", "127.0.0.1", "-mi", "127.0.0.1", "-p", str(phone), "-mp", str(free_port(socket.SOCK_DGRAM)))
            async with started("-sn", "uas", *where, cwd=cwd):
                await asyncio.sleep(0.5)
                await bring(system, rate, 3 * rate, cwd)
                yield Place(system, cwd)


def told(name: str, found: list[Found]) -> str:
    """The lines of one system."""
    spent = percentile([one.spent for one in found], 0.5)
    times = ringing_ms(found)
    failed, calls = sum(one.failed for one in found), sum(one.calls for one in found)
    ringing = (
        f"180 after {percentile(times, 0.5):.1f} ms, p99 {percentile(times, 0.99):.1f} ms"
        if times
        else "no 180 was seen"
    )
    lines = [
        f"{name}",
        f"  {spent:6.2f} ms of processor a call = {1000 / spent:5.0f} set-ups per second and core; {ringing}; "
        f"{failed} of {calls} failed",
    ]
    lines.append(f"  round by round: {', '.join(f'{one.spent:.2f}' for one in found)} ms")
    for group in found[0].beside:
        lines.append(f"  beside it {group}: {percentile([one.beside[group] for one in found], 0.5):.2f} ms a call")
    return "\n".join(lines)


def ringing_ms(found: list[Found]) -> list[float]:
    """Every call's time to 180."""
    return [ms for one in found for ms in one.ringing_ms]


async def run(rate: int, seconds: int, wanted: int, most: int) -> None:
    """All of them at once, a round of each in turn, and what the goals say."""
    print(describe())
    print(f"method: SIPp to SIPp on loopback, UDP, {rate} calls/s, {seconds} s a round in turn, 0.5 s of talk\n")
    absent = systems.missing()
    for key in absent:
        print(f"{key}: not installed ({absent[key]})\n")
    made = {"sivo": systems.sivo, "sippy": systems.sippy, "kamailio": systems.kamailio}
    async with AsyncExitStack() as stack:
        places = {
            key: await stack.enter_async_context(ready(make, rate)) for key, make in made.items() if key not in absent
        }

        async def turn() -> dict[str, Found]:
            return {key: await one_round(place.system, rate, seconds, place.cwd) for key, place in places.items()}

        turns = await rounds(turn, wanted, most=most)
    by_system = {key: [one[key] for one in turns.found] for key in places}
    for key, found in by_system.items():
        print(told(places[key].system.name, found) + "\n")
    print(turns.told() + "\n")
    _judge(by_system, rate)


def _judge(by_system: dict[str, list[Found]], rate: int) -> None:
    times = ringing_ms(by_system["sivo"])
    ringing = percentile(times, 0.99) if times else float("inf")
    verdict = _verdict(ringing <= GOAL_RINGING_MS)
    print(f"goal: 180 p99 at most {GOAL_RINGING_MS:.0f} ms at {rate} calls/s: {verdict} ({ringing:.1f} ms)")
    if "sippy" in by_system:
        pairs = zip(by_system["sippy"], by_system["sivo"], strict=True)
        ratios = [theirs.spent / ours.spent for theirs, ours in pairs]
        each = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        verdict = _verdict(percentile(ratios, 0.5) >= GOAL_TIMES_SIPPY)
        print(f"goal: {GOAL_TIMES_SIPPY} x sippy's set-ups per core: {verdict} (turn by turn: {each})")


def _verdict(good: bool) -> str:
    return "met" if good else "NOT MET"


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m bench.sip")
    parser.add_argument("--rate", type=int, default=50)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--most", type=int, default=8, help="rounds to try when the host disturbs")
    arguments = parser.parse_args()
    os.environ.setdefault("SIVO_LOG_LEVEL", "info")
    asyncio.run(run(arguments.rate, arguments.seconds, arguments.rounds, arguments.most))


if __name__ == "__main__":
    main()
