"""``make bench-media``: how late the media clock runs and what a call costs, on one media process with real RTP.

    python -m bench.media_load [--bridged 100] [--calls 30] [--seconds 20] [--rounds 2] [--most 6]

First so many bridged calls (two people each, no recording), then so many AI calls with VAD and a journal on disk.
Rounds in which the host took the processor away are left out (bench/machine.py).

The agent is a tone (providers cost other processes' time, not this one's); everything else is what a real call does:
jitter buffer, VAD batch, play-out, two-channel journal with encryption and fdatasync. Sender lateness is measured
twice: inside (how late each tick ran) and on the wire (time between packets of one call at the phone, 20 ms ideal; that
one includes the phones' own lateness). An idle 20 ms timer runs beside it in this process, which is busy being 30
phones: what the machine itself did.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "functional" / "media"))

from media_harness import Call, Media, add_leg, agent, open_session  # noqa: E402

from bench.machine import Rounds, describe, rounds  # noqa: E402
from sivo.media import protocol as wire  # noqa: E402
from sivo.media.clock import Ticker  # noqa: E402
from support.ears import Ear, Ears  # noqa: E402
from support.rtp_phone import RtpPhone, tone  # noqa: E402

#: Sender lateness that is allowed: share of the ticks, milliseconds.
GOALS = {"p99_ms": 5.0, "p999_ms": 20.0}


def usage(pid: int) -> tuple[float, int]:
    """CPU seconds (user and system) so far, and resident KiB, from /proc."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    resident = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return cpu, int(resident.split()[1])


def percentile(values: list[float], share: float) -> float:
    """Nearest rank."""
    ordered = sorted(values)
    return round(ordered[min(int(share * len(ordered)), len(ordered) - 1)], 2) if ordered else 0.0


def worst(recent: list[dict[str, float]]) -> dict[str, float]:
    """The worst 5 s stretch for each number; the first stretch began before the load was steady."""
    steady = recent[1:] or recent
    return {name: max(stretch[name] for stretch in steady) for name in ("p50_ms", "p99_ms", "p999_ms", "max_ms")}


def slow(call: Call) -> dict[str, dict[str, float]]:
    """SlowCallback facts by culprit: how many sessions noted one, and the longest."""
    bodies = call.bodies(wire.SlowCallback)
    return {
        what: {
            "facts": sum(body.what == what for body in bodies),
            "longest_ms": max(body.held_ms for body in bodies if body.what == what),
        }
        for what in sorted({body.what for body in bodies})
    }


async def begin(call: Call, number: int, seconds: float) -> RtpPhone:
    """One AI call that is up and talking both ways."""
    phone = await RtpPhone.open()
    session = f"load-{number}"
    await open_session(call, session)
    phone.call("127.0.0.1", await add_leg(call, session, "a", 0, phone.port))
    phone.play(tone(400, seconds))
    await call.send(wire.StartConversation, session=session, leg="a", spec=agent(int(seconds * 1000)))
    await call.send(wire.StartCapture, session=session, record=True)
    phone.start()
    return phone


async def measure(calls: int, seconds: float, home: Path) -> dict[str, object]:
    """Run the load; the numbers."""
    media = Media(home, (34000, 34499), call_cap=calls)
    call = await media.start()
    assert media.process is not None
    pid = media.process.pid
    try:
        await asyncio.sleep(0.5)
        _, idle_kib = usage(pid)
        phones = [await begin(call, number, seconds + 5) for number in range(calls)]
        await asyncio.sleep(1.0)
        for phone in phones:
            phone.received.clear()
        probe = Ticker(lambda _number, _late: None)
        probe.start()
        call.notes.clear()
        call.facts.clear()
        cpu, began = usage(pid)[0], time.monotonic()
        await asyncio.sleep(seconds)
        spent, lasted = usage(pid)[0] - cpu, time.monotonic() - began
        probe.stop()
        _, loaded_kib = usage(pid)
        gaps = [gap for phone in phones for gap in phone.gaps_ms()]
        received = sum(len(phone.received) for phone in phones)
        notes = [note.data for note in call.notes if note.kind == "load"]
        load = worst([note["recent"] for note in notes])
        skipped = notes[-1]["skipped_ticks"] - notes[0]["skipped_ticks"]
        for phone in phones:
            await phone.close()
    finally:
        await media.terminate()
    return {
        "calls": calls,
        "seconds": round(lasted, 1),
        "tick_lateness_ms": load,
        "skipped_ticks": skipped,
        "wire_gap_ms": {"p50": percentile(gaps, 0.5), "p99": percentile(gaps, 0.99), "p99.9": percentile(gaps, 0.999)},
        "packets_share": round(received / (calls * lasted * 50), 4),
        "cpu_seconds_per_call_second": round(spent / lasted / calls, 5),
        "kib_per_call": round((loaded_kib - idle_kib) / calls),
        "process_kib": loaded_kib,
        "slow_callbacks": slow(call),
        "idle_timer_lateness_ms": probe.lateness.summary(),
        "machine": f"{platform.machine()} {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
    }


async def measure_bridged(calls: int, seconds: float, home: Path) -> dict[str, object]:
    """So many calls of two people who both talk; the numbers."""
    media = Media(home, (34000, 34999), call_cap=calls)
    call = await media.start()
    assert media.process is not None
    pid = media.process.pid
    ears = Ears("127.0.0.1")
    try:
        await ears.open(2 * calls, frames=round((seconds + 30) * 50))
        for number in range(calls):
            await _bridge(call, f"bridged-{number}", ears.all[2 * number], ears.all[2 * number + 1])
        await asyncio.sleep(6.0)
        probe = Ticker(lambda _number, _late: None)
        probe.start()
        call.notes.clear()
        heard, cpu, began = sum(len(ear.heard) for ear in ears.all), usage(pid)[0], time.monotonic()
        await asyncio.sleep(seconds)
        spent, lasted = usage(pid)[0] - cpu, time.monotonic() - began
        probe.stop()
        notes = [note.data for note in call.notes if note.kind == "load"]
        received = sum(len(ear.heard) for ear in ears.all) - heard
    finally:
        ears.close()
        await media.terminate()
    return {
        "calls": calls,
        "seconds": round(lasted, 1),
        "tick_lateness_ms": worst([note["recent"] for note in notes]),
        "skipped_ticks": notes[-1]["skipped_ticks"] - notes[0]["skipped_ticks"],
        "packets_share": round(received / (2 * calls * lasted * 50), 4),
        "cpu_seconds_per_call_second": round(spent / lasted / calls, 5),
        "slow_callbacks": slow(call),
        "idle_timer_lateness_ms": probe.lateness.summary(),
    }


async def _bridge(call: Call, session: str, one: Ear, two: Ear) -> None:
    await open_session(call, session)
    for name, channel, ear in (("a", 0, one), ("b", 1, two)):
        ear.peer = "127.0.0.1", await add_leg(call, session, name, channel, ear.port)
    await call.send(wire.Bridge, session=session, a="a", b="b")


def told(name: str, found: Rounds[dict[str, object]]) -> str:
    """Every round as JSON, and whether the goals are met in all of them."""
    lines = [name, *(json.dumps(one) for one in found.found), found.told()]
    for key, most in GOALS.items():
        seen = max(float(one["tick_lateness_ms"][key]) for one in found.found)  # type: ignore[index]
        lines.append(
            f"goal: sender lateness {key} at most {most:.0f}: {'met' if seen <= most else 'NOT MET'} ({seen:.2f})"
        )
    return "\n".join(lines) + "\n"


async def run(arguments: argparse.Namespace) -> None:
    """Both loads."""
    print(describe() + "\n")
    loads = (("bridged calls", measure_bridged, arguments.bridged), ("AI calls", measure, arguments.calls))
    for name, load, calls in loads:
        if not calls:
            continue

        async def one(load: Any = load, calls: int = calls) -> dict[str, object]:
            with tempfile.TemporaryDirectory() as home:
                return dict(await load(calls, arguments.seconds, Path(home)))

        found = await rounds(one, arguments.rounds, most=arguments.most)
        print(told(f"{calls} {name}, {arguments.seconds:.0f} s a round", found), flush=True)


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(prog="python -m bench.media_load")
    parser.add_argument("--bridged", type=int, default=100)
    parser.add_argument("--calls", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--most", type=int, default=6, help="rounds to try when the host disturbs")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
