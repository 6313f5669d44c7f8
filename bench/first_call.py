"""Figures of a whole node, taken on the wire by callers that share no code with it.

1. *Set-up*: calls one after another to the AI agent; INVITE to 200, ACK to the first RTP packet and to the first voiced
   frame of the greeting.
2. *Barge-in*: while the agent gives its long answer the caller starts a continuously voiced clip; from its first voiced
   packet to the agent's last frame. The bound is ``speech_min_ms`` + jitter target + 60 ms.
3. *Load*: many AI calls at once, callers listening; lateness of the sender inside ``media`` (its own report at the end,
   start-up included), gaps on the wire beside an idle 20 ms timer of this process, CPU and memory of ``media``.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from bench.machine import percentile, row, usage
from sivo.demo.caller_rtp import RtpPeer
from sivo.demo.caller_script import SCRIPTS, Performance, Step
from sivo.demo.caller_sip import Account, SipCaller, offer, remote_of
from sivo.demo.client import DemoClient
from sivo.demo.platform import Platform, Ports
from sivo.demo.provision import DemoTenant, provision

CALLER = "127.0.0.2"
SPEECH_MIN_MS = 400
JITTER_TARGET_MS = 60
WIRE_MS = 60


@dataclass
class Call:
    """One call of the bench: its SIP and RTP ends, and the moments of its set-up."""

    sip: SipCaller
    rtp: RtpPeer
    answer_ms: float
    acknowledged: float
    sender: asyncio.Task[None]

    async def end(self) -> None:
        """BYE, and free everything."""
        if not self.sip.ended.is_set():
            await self.sip.bye()
        self.sender.cancel()
        self.sip.close()
        self.rtp.close()


async def dial(platform: Platform, tenant: DemoTenant) -> Call:
    """Ring the agent and start sending."""
    sip = await SipCaller.open(CALLER, 0, ("127.0.0.1", platform.ports.sip), Account())
    rtp = await RtpPeer.open(CALLER)
    rang = time.monotonic()
    answer = await sip.invite(tenant.did, offer(rtp.local_host, rtp.port))
    answered = time.monotonic()
    sender = asyncio.create_task(rtp.send_to(remote_of(answer.body)))
    return Call(sip, rtp, (answered - rang) * 1000, answered, sender)


async def until(condition: object, patience: float) -> bool:
    """Whether ``condition`` came true in time."""
    deadline = time.monotonic() + patience
    while not condition():  # type: ignore[operator]
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.005)
    return True


async def set_up(platform: Platform, tenant: DemoTenant, calls: int) -> list[str]:
    """Part 1."""
    answers, packets, voices = [], [], []
    for number in range(calls + 2):
        call = await dial(platform, tenant)
        await until(lambda call=call: call.rtp.heard.first_voice is not None, 5)
        heard = call.rtp.heard
        if number >= 2 and heard.first_packet is not None and heard.first_voice is not None:  # two to warm up
            answers.append(call.answer_ms)
            packets.append((heard.first_packet - call.acknowledged) * 1000)
            voices.append((heard.first_voice - call.acknowledged) * 1000)
        await call.end()
        await asyncio.sleep(0.05)
    return [
        "set-up, one call after another",
        row("INVITE to 200", answers, "ms"),
        row("ACK to first RTP packet", packets, "ms"),
        row("ACK to first voiced frame of the greeting", voices, "ms"),
    ]


async def barge_in(platform: Platform, tenant: DemoTenant, calls: int) -> list[str]:
    """Part 2."""
    stops = []
    for _ in range(calls):
        call = await dial(platform, tenant)
        performance = Performance(call.sip, call.rtp)
        steps: tuple[Step, ...] = SCRIPTS["order"][:2]
        await performance.play(steps)
        if performance.findings.interruption is not None:
            stops.append(float(performance.findings.interruption["stop_ms"]))
        await call.end()
    bound = SPEECH_MIN_MS + JITTER_TARGET_MS + WIRE_MS
    within = sum(stop <= bound for stop in stops)
    return [
        "barge-in, from the caller's first voiced packet to the agent's last frame",
        row("agent stops after", stops, "ms"),
        f"  bound {bound} ms (speech_min {SPEECH_MIN_MS} + jitter target {JITTER_TARGET_MS} + {WIRE_MS}): "
        f"{within} of {len(stops)} within; {calls - len(stops)} calls without an interruption",
    ]


@dataclass
class _Probe:
    """How late an idle 20 ms timer of this process is: the machine's and our own share of every gap."""

    late_ms: list[float] = field(default_factory=list)

    async def run(self) -> None:
        due = time.monotonic()
        while True:
            due += 0.02
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            self.late_ms.append((time.monotonic() - due) * 1000)


class _Gaps(RtpPeer):
    """Notes the time of every packet."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.times.append(time.monotonic())
        super().datagram_received(data, addr)


async def load(platform: Platform, tenant: DemoTenant, media_pid: int, calls: int, seconds: float) -> list[str]:
    """Part 3."""
    _, memory_before = usage(media_pid)
    live = []
    for _ in range(calls):
        live.append(await _dial_listening(platform, tenant))
        await asyncio.sleep(0.1)
    probe = _Probe()
    watching = asyncio.create_task(probe.run())
    cpu_before, _ = usage(media_pid)
    began = time.monotonic()
    await asyncio.sleep(seconds)
    cpu, memory = usage(media_pid)
    took = time.monotonic() - began
    watching.cancel()
    gaps = [
        (after - before) * 1000
        for call in live
        for before, after in zip(call.rtp.times, call.rtp.times[1:], strict=False)  # type: ignore[attr-defined]
        if before >= began
    ]
    up = sum(not call.sip.ended.is_set() for call in live)
    for call in live:
        await call.end()
    return [
        f"load, {calls} AI calls for {took:.0f} s ({up} still up at the end)",
        f"  gap between packets on the wire (ideal 20)     p50 {percentile(gaps, 0.5):6.1f}  "
        f"p99 {percentile(gaps, 0.99):6.1f}  p99.9 {percentile(gaps, 0.999):6.1f}  ms",
        f"  idle 20 ms timer in the callers' process       late p99 {percentile(probe.late_ms, 0.99):6.1f}  "
        f"p99.9 {percentile(probe.late_ms, 0.999):6.1f}  ms",
        f"  CPU of media                                   {(cpu - cpu_before) / (took * calls):.4f} s per call-second",
        f"  memory of media                                {(memory - memory_before) / calls:.0f} KiB per call "
        f"({memory / 1024:.0f} MiB in all)",
    ]


async def _dial_listening(platform: Platform, tenant: DemoTenant) -> Call:
    sip = await SipCaller.open(CALLER, 0, ("127.0.0.1", platform.ports.sip), Account())
    _, rtp = await asyncio.get_running_loop().create_datagram_endpoint(_Gaps, local_addr=(CALLER, 0))
    rang = time.monotonic()
    answer = await sip.invite(tenant.did, offer(rtp.local_host, rtp.port))
    answered = time.monotonic()
    return Call(sip, rtp, (answered - rang) * 1000, answered, asyncio.create_task(rtp.send_to(remote_of(answer.body))))


def _log_entries(platform: Platform, event: str) -> list[dict[str, object]]:
    lines = platform.log_path.read_text().splitlines()
    entries = [json.loads(line) for line in lines if line.startswith("{")]
    return [entry for entry in entries if entry.get("event") == event]


async def run(*, calls: int = 20, interruptions: int = 5, at_once: int = 30, seconds: float = 20.0) -> list[str]:
    """All parts on a node of its own; the lines to print."""
    with tempfile.TemporaryDirectory(prefix="sivo-bench-") as directory:
        platform = Platform(Path(directory) / "home", Ports.choose())
        await platform.start()
        try:
            async with DemoClient(platform.home / "run" / "api.sock") as client:
                tenant = await provision(
                    client.call,
                    webhook_url=f"http://127.0.0.1:{platform.ports.receiver}/events",
                    webhook_secret="whsec_" + "b" * 40,
                    caller_host=CALLER,
                )
            lines = await set_up(platform, tenant, calls)
            lines += await barge_in(platform, tenant, interruptions)
            pid = next(
                int(str(entry["pid"])) for entry in _log_entries(platform, "started") if entry["process"] == "media-0"
            )
            lines += await load(platform, tenant, pid, at_once, seconds)
        finally:
            await platform.stop()
        for entry in _log_entries(platform, "media stopped"):
            lines.append(
                f"  lateness of the sender inside media            p50 {entry['p50_ms']}  p99 {entry['p99_ms']}  "
                f"p99.9 {float(str(entry['p999_ms'])):.1f}  max {entry['max_ms']}  ms  "
                f"({entry['ticks']} ticks, start-up and set-up included)"
            )
        return lines


def main() -> None:
    """``python -m bench.first_call``."""
    from bench.machine import describe

    print(describe())
    print("\n".join(asyncio.run(run())))
