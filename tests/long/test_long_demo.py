"""Twenty demos in a row while one core is kept busy: twenty pass, and their latencies as a table."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

RUNS = int(os.environ.get("SIVO_TEST_DEMOS", "20"))
_STAGES = ("endpointing", "stt", "llm_first_token", "tts_first_byte", "first_frame")


@contextmanager
def busy_core() -> Iterator[int]:
    """A process that computes without end on one core; gives the core's number."""
    core = min(os.sched_getaffinity(0))
    loop = f"import os\nos.sched_setaffinity(0, {{{core}}})\nwhile True: pass"
    process = subprocess.Popen([sys.executable, "-c", loop])
    try:
        yield core
    finally:
        process.kill()
        process.wait()


async def run_demo(folder: Path) -> tuple[int, str, dict[str, Any]]:
    """One ``make demo ONCE=1`` in a folder of its own: exit status, what it printed, and its ``demo.json``."""
    folder.mkdir()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "sivo.demo.run",
        cwd=folder,
        env=os.environ | {"ONCE": "1", "SIVO_DEMO_STARTED": str(time.time())},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    report = folder / "build" / "demo.json"
    found = json.loads(report.read_text()) if report.exists() else {}
    assert process.returncode is not None
    return process.returncode, output.decode(errors="replace"), found


def row(number: int, status: int, found: dict[str, Any]) -> str:
    """One line of the table: milliseconds from the end of speech to each stage, the worst turn of the run."""
    turns = [turn["latency"] for turn in found.get("turns", ())]
    worst = {stage: max((turn.get(stage, 0) for turn in turns), default=0) for stage in _STAGES}
    stages = "  ".join(f"{worst[stage]:>6.0f}" for stage in _STAGES)
    off = found.get("recording", {}).get("off_ms", "-")
    greeting = found.get("seconds_to_greeting") or 0
    return f"{number:>3}  {'pass' if status == 0 else 'FAIL'}  {len(turns):>5}  {greeting:>8.1f}  {stages}  {off:>6}"


@pytest.mark.timeout(RUNS * 200)
async def test_twenty_demos_with_a_busy_core(tmp_path: Path) -> None:
    failed: list[str] = []
    with busy_core() as core:
        print(f"\n{RUNS} demos, core {core} of {os.cpu_count()} kept busy; ms of the slowest turn of each run")
        print("run  end   turns  greeting  " + "  ".join(f"{name[:6]:>6}" for name in _STAGES) + "  off ms")
        for number in range(1, RUNS + 1):
            status, output, found = await run_demo(tmp_path / str(number))
            print(row(number, status, found), flush=True)
            if status:
                missing = found.get("missing") or output[-1500:]
                print(f"     missing: {missing}", flush=True)
                failed.append(f"run {number}: {missing}")
    assert not failed, "\n".join(failed)
