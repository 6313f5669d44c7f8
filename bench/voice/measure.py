"""One engine from one call to as many as it carries: levels, their numbers, and the search between them."""

from __future__ import annotations

import asyncio
import statistics
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bench.machine import percentile, usage
from bench.voice import plan
from bench.voice.caller import Caller, Clip, Street
from bench.voice.engines import Engine
from support.host import MOST_STOLEN, left_alone

CLIPS = Path(__file__).with_name("clips")
#: Between two calls that are opened.
_APART_S = 0.05


@dataclass
class Level:
    """What was seen with so many calls at a time."""

    calls: int
    turns: int
    lost: int
    p50_ms: float
    p95_ms: float
    cpu_per_call_second: float
    core_share: float
    rss_mib: float
    #: Packets that came back per call and second; an engine that paces in real time sends at most 50.
    packets_per_call_second: float
    talked_over: int
    #: How busy the core of callers and vendors was, and how late the callers' clock ran: near 1, or over 20 ms, it is
    #: this machine that is measured and not the engine.
    other_core_share: float
    caller_late_p99_ms: float
    #: Share of the machine's time that its host gave to others (``steal`` of ``/proc/stat``): a run with some is void.
    stolen: float
    passed: bool = False

    def line(self) -> str:
        """For people."""
        return (
            f"  {self.calls:4d} calls  v2v p50 {self.p50_ms:6.0f}  p95 {self.p95_ms:6.0f} ms  turns {self.turns:4d}"
            f"  lost {self.lost:2d}  cpu {self.cpu_per_call_second:.4f} s per call second ({self.core_share:4.0%} of a"
            f" core)  rss {self.rss_mib:4.0f} MiB  {self.packets_per_call_second:4.1f} packets/s"
            f"  [others {self.other_core_share:4.0%}, late p99 {self.caller_late_p99_ms:.1f} ms, stolen"
            f" {self.stolen:.0%}]"
            f"  {'holds' if self.passed else 'does not hold'}"
        )


def machine_time() -> tuple[int, int]:
    """Ticks that the host took away, and all ticks, of every core since the start."""
    fields = [int(value) for value in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return fields[7], sum(fields)


def clips() -> list[Clip]:
    """What callers say."""
    return [Clip.load(path) for path in sorted(CLIPS.glob("*.wav"))]


class Run:
    """Calls on one engine. ``beside``: processes of the other core."""

    def __init__(self, engine: Engine, street: Street, beside: list[int]) -> None:
        self._engine = engine
        self._street = street
        self._beside = beside
        self._up: list[tuple[int, Caller]] = []
        self._serial = 0
        self.buffer_ms: list[float] = []

    async def to(self, calls: int) -> None:
        """Open or close calls until so many are up."""
        while len(self._up) < calls:
            self._serial += 1
            caller = await self._street.add(clips(), self._serial)
            port = await self._engine.open(self._serial, caller.port)
            caller.call(port, first_in=0.5 + (self._serial * 0.37) % 2.0)
            self._up.append((self._serial, caller))
            await asyncio.sleep(_APART_S)
        while len(self._up) > calls:
            number, caller = self._up.pop()
            caller.hang_up()
            self._street.callers.remove(caller)
            told = await self._engine.close(number)
            if "buffer_ms" in told:
                self.buffer_ms.append(float(told["buffer_ms"]))

    async def level(self, seconds: float) -> tuple[Level, list[float]]:
        """Measure for so long; the numbers, and every turn's milliseconds."""
        callers = [caller for _, caller in self._up]
        began, cpu, others = time.monotonic(), usage(self._engine.pid)[0], self._others()
        received, over = self._count(callers)
        stolen, total = machine_time()
        self._street.late_ms.clear()
        await asyncio.sleep(seconds)
        ended, spent, beside = time.monotonic(), usage(self._engine.pid)[0] - cpu, self._others() - others
        late = percentile(self._street.late_ms, 0.99)
        stolen_after, total_after = machine_time()
        received_after, over_after = self._count(callers)
        await asyncio.sleep(2.5)  # for answers to questions that were asked just now
        turns = [turn for caller in callers for turn in caller.tally.turns if began <= turn.asked_at < ended]
        heard = [turn.ms for turn in turns if turn.ms is not None]
        lasted = ended - began
        level = Level(
            calls=len(callers),
            turns=len(turns),
            lost=len(turns) - len(heard),
            p50_ms=percentile(heard, 0.5) if heard else -1.0,
            p95_ms=percentile(heard, 0.95) if heard else -1.0,
            cpu_per_call_second=spent / lasted / len(callers),
            core_share=spent / lasted,
            rss_mib=usage(self._engine.pid)[1] / 1024,
            packets_per_call_second=(received_after - received) / lasted / len(callers),
            talked_over=over_after - over,
            other_core_share=beside / lasted,
            caller_late_p99_ms=late,
            stolen=(stolen_after - stolen) / max(1, total_after - total),
        )
        return level, heard

    @staticmethod
    def _count(callers: list[Caller]) -> tuple[int, int]:
        return sum(one.tally.received for one in callers), sum(one.tally.talked_over for one in callers)

    def _others(self) -> float:
        return sum(usage(pid)[0] for pid in self._beside)


async def undisturbed(run: Run, calls: int, seconds: float, course: plan.Course) -> tuple[Level, list[float]]:
    """The level with so many calls, made again while the host took more than ``MOST_STOLEN`` of the machine.

    Each try begins on a machine that is left alone. After ``course.tries`` the least disturbed is told.
    """
    tried: list[tuple[Level, list[float]]] = []
    for _ in range(course.tries):
        await asyncio.to_thread(left_alone, course.patience_s)
        await run.to(calls)
        await asyncio.sleep(course.settle_s)
        tried.append(await run.level(seconds))
        level = tried[-1][0]
        if level.stolen <= MOST_STOLEN:
            return tried[-1]
        print(f"  {calls:4d} calls  void: the host took {level.stolen:.0%} of the machine", flush=True)
        await run.to(0)
    return min(tried, key=lambda one: one[0].stolen)


async def alone(run: Run, course: plan.Course) -> tuple[Level, list[float]]:
    """The single call, in pieces of a level's length, so that a disturbed piece does not void the others."""
    pieces = [await undisturbed(run, 1, course.level_s, course) for _ in range(course.single_pieces)]
    heard = [ms for _, turns in pieces for ms in turns]
    levels = [level for level, _ in pieces]
    mean = {
        name: statistics.mean(getattr(level, name) for level in levels)
        for name in ("cpu_per_call_second", "core_share", "packets_per_call_second", "other_core_share")
    }
    whole = replace(
        levels[-1],
        turns=sum(level.turns for level in levels),
        lost=sum(level.lost for level in levels),
        p50_ms=percentile(heard, 0.5) if heard else -1.0,
        p95_ms=percentile(heard, 0.95) if heard else -1.0,
        talked_over=sum(level.talked_over for level in levels),
        caller_late_p99_ms=max(level.caller_late_p99_ms for level in levels),
        stolen=max(level.stolen for level in levels),
        **mean,
    )
    return whole, heard


async def climb(run: Run, levels: tuple[int, ...], course: plan.Course) -> tuple[list[Level], list[float]]:
    """Level after level until one does not hold, then once between; the single call's turns as well."""
    seen: list[Level] = []
    single: list[float] = []
    bound, best, worst = 0.0, 0, 0
    wanted, between = list(levels), course.bisect
    while wanted:
        calls = wanted.pop(0)
        if not seen:
            level, single = await alone(run, course)
            bound = level.p50_ms + plan.SLACK_MS
        else:
            level, _ = await undisturbed(run, calls, course.level_s, course)
        level.passed = level.turns > 0 and level.lost == 0 and level.p95_ms <= bound
        seen.append(level)
        print(level.line(), flush=True)
        if level.passed:
            best = max(best, calls)
        else:
            worst = calls if not worst else min(worst, calls)
            wanted, between = [(best + worst) // 2] if between and worst - best > 3 else [], False
    await run.to(0)
    return seen, single


def most(levels: list[Level]) -> int:
    """The largest number of calls that held."""
    return max((level.calls for level in levels if level.passed), default=0)


def as_json(levels: list[Level]) -> list[dict[str, object]]:
    """For the report file."""
    return [asdict(level) for level in levels]
