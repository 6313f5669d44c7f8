"""``make bench-voice``: SIVO, pipecat and livekit-agents, one after the other, on the same core with the same callers.

python -m bench.voice [--quick] [--engines sivo,pipecat,livekit] [--peers build/bench-voice-venv]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

from bench.machine import describe, percentile
from bench.voice import authority, measure, plan, vad_share
from bench.voice.caller import Street
from bench.voice.engines import World, ended, engine, pinned


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.voice", description="Voice to voice and calls per core.")
    parser.add_argument("--quick", action="store_true", help="two levels an engine, about two minutes")
    parser.add_argument("--engines", default="sivo,pipecat,livekit")
    parser.add_argument("--peers", type=Path, default=Path("build/bench-voice-venv"), help="venv of the peers")
    parser.add_argument("--port", type=int, default=26100, help="TCP port of the simulated vendors")
    parser.add_argument("--levels", default="", help="calls at a time instead of the built-in ones: 1,20,40")
    parser.add_argument("--report", type=Path, default=Path("build/bench-voice.json"))
    return parser.parse_args()


async def _vendors(arguments: argparse.Namespace, folder: Path, core: int) -> tuple[Any, authority.Certificates]:
    made = authority.make(folder)
    script = folder / "accounts.json"
    script.write_text(json.dumps({plan.KEY: plan.script()}))
    command = [sys.executable, "-m", "sivo.cli.main", "simulate", "--port", str(arguments.port)]
    command += ["--host", "localhost", "--script", str(script)]
    command += ["--tls-certificate", str(made.chain), "--tls-key", str(made.key)]
    process = pinned(command, core, {}, folder / "vendors.log")
    for _ in range(100):
        await asyncio.sleep(0.1)
        if "simulators on" in (folder / "vendors.log").read_text():
            return process, made
        if process.poll() is not None:
            break
    raise SystemExit((folder / "vendors.log").read_text()[-2000:])


def _offences(port: int, authority_file: Path) -> list[str]:
    """What engines did that a vendor's documentation forbids, by protocol."""
    import ssl

    context = ssl.create_default_context(cafile=str(authority_file))
    url = f"https://localhost:{port}/sim/accounts/{plan.KEY}/ledger"
    with urllib.request.urlopen(url, context=context, timeout=30) as answer:
        entries = json.load(answer)["entries"]
    return sorted({f"{one['protocol']}: {one['data'].get('what')}" for one in entries if one["what"] == "offence"})


def _share(single: list[float], buffer_ms: float) -> dict[str, float]:
    """The engine's own part of a single call's voice to voice."""
    stops = {path.stem: vad_share.stop_ms(clip) for path, clip in zip(_paths(), measure.clips(), strict=True)}
    vad = statistics.mean(stops.values())
    rest = plan.STT_MS + plan.LLM_MS + plan.TTS_MS + vad + buffer_ms
    return {
        "providers_ms": plan.STT_MS + plan.LLM_MS + plan.TTS_MS,
        "vad_stop_and_release_ms": round(vad, 1),
        "hold_ms": 0.0,
        "jitter_buffer_ms": round(buffer_ms, 1),
        "engine_p50_ms": round(percentile(single, 0.5) - rest, 1),
        "engine_p95_ms": round(percentile(single, 0.95) - rest, 1),
    }


def _paths() -> list[Path]:
    return sorted(measure.CLIPS.glob("*.wav"))


async def _one(
    name: str, world: World, course: plan.Course, levels: tuple[int, ...], beside: list[int]
) -> dict[str, Any]:
    print(f"\n{name}", flush=True)
    street = Street()
    try:
        async with engine(name, world) as started:
            run = measure.Run(started, street, beside)
            seen, single = await measure.climb(run, levels, course)
            offences = await asyncio.to_thread(_offences, world.port, world.authority)
        if not seen[0].passed:
            print((world.folder / f"{name}.log").read_text()[-3000:])
    finally:
        await street.close()
    result: dict[str, Any] = {"levels": measure.as_json(seen), "most_calls": measure.most(seen), "offences": offences}
    if name == "sivo":
        result["share"] = _share(single, statistics.mean(run.buffer_ms))
        print("  " + ", ".join(f"{key} {value}" for key, value in result["share"].items()))
    return result


async def main() -> int:
    """Run, print, write the report; 1 when an engine could not be measured."""
    arguments = _arguments()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise SystemExit("two cores are needed: one for the engine, one for callers and vendors")
    engine_core, other = cores[0], cores[1]
    os.sched_setaffinity(0, {other})
    print(describe())
    course = plan.QUICK if arguments.quick else plan.FULL
    folder = Path(tempfile.mkdtemp(prefix="bench-voice-"))
    results: dict[str, Any] = {}
    failed = False
    vendors, made = await _vendors(arguments, folder, other)
    try:
        python = arguments.peers.absolute() / "bin" / "python"
        world = World(arguments.port, made.authority, folder, engine_core, python)
        for name in arguments.engines.split(","):
            levels = tuple(map(int, arguments.levels.split(","))) if arguments.levels else course.levels[name]
            try:
                results[name] = await _one(name, world, course, levels, [vendors.pid, os.getpid()])
            except Exception as error:
                failed = True
                results[name] = {"error": repr(error)}
                print(f"  {name} could not be measured: {error!r}", flush=True)
                log = folder / f"{name}.log"
                print(log.read_text()[-3000:] if log.exists() else "")
    finally:
        await ended(vendors)
    _summary(results)
    arguments.report.parent.mkdir(parents=True, exist_ok=True)
    arguments.report.write_text(json.dumps({"machine": describe(), "results": results}, indent=2) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    return int(failed)


def _summary(results: dict[str, Any]) -> None:
    print("\nresult")
    for name, found in results.items():
        if "error" in found:
            continue
        one = found["levels"][0]
        more = " or more" if all(level["passed"] for level in found["levels"]) else ""
        print(
            f"  {name:8s} single call v2v p50 {one['p50_ms']:.0f} p95 {one['p95_ms']:.0f} ms,"
            f" most calls on one core {found['most_calls']}{more}"
        )
    ours, theirs = results.get("sivo", {}), results.get("pipecat", {})
    if ours.get("most_calls") and theirs.get("most_calls"):
        print(f"  SIVO : pipecat = {ours['most_calls'] / theirs['most_calls']:.1f} : 1 (goal 3 : 1)")
    if "share" in ours:
        print(f"  SIVO's own share p95 {ours['share']['engine_p95_ms']} ms (goal 20 ms)")


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
