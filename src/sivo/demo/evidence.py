"""What a demo call left behind, gathered through the public API and checked part by part."""

from __future__ import annotations

import asyncio
import io
import wave
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sivo.demo.client import DemoClient
from sivo.demo.provision import DemoTenant
from sivo.demo.receiver import Receiver

#: Events that every AI call with a recording and a transcript must have delivered.
EXPECTED_EVENTS = frozenset(
    {
        "call.created",
        "call.answered",
        "call.ended",
        "call.recorded",
        "transcript.segment",
        "transcript.completed",
        "ai_agent.completed",
    }
)


@dataclass
class Evidence:
    """The content of ``build/demo.json``."""

    call_id: str
    turns: list[dict[str, Any]]
    interruptions: list[dict[str, Any]]
    recording: dict[str, Any]
    transcript: list[dict[str, Any]]
    webhook_deliveries: list[dict[str, Any]]
    sip: dict[str, Any]
    hangup: dict[str, Any]
    caller: dict[str, Any]
    seconds_to_greeting: float | None = None
    missing: list[str] = field(default_factory=list)

    def check(self) -> list[str]:
        """Name every part that is not as it must be; empty = all there."""
        types = {one["type"] for one in self.webhook_deliveries}
        checks = {
            "call_id": bool(self.call_id),
            "turns: at least three, each with both texts": len(self.turns) >= 3
            and all(turn["user_text"] and turn["reply_text"] for turn in self.turns),
            "turns: a latency each": all(turn["latency"].get("first_frame") for turn in self.turns),
            "interruptions: one that cut the agent": any(one["outcome"] == "committed" for one in self.interruptions),
            "recording: stored, stereo, as long as the call": self.recording.get("channels") == 2
            and abs(self.recording.get("off_ms", 10_000)) <= 60,
            "transcript: both speakers": {"caller", "agent"} <= {one["speaker"] for one in self.transcript},
            f"webhooks: missing {sorted(EXPECTED_EVENTS - types)}": types >= EXPECTED_EVENTS,
            "webhooks: every signature verified": all(one["verified"] for one in self.webhook_deliveries),
            "hang-up by the agent": self.hangup.get("exit_reason") == "agent_hangup",
            "caller heard what it waited for": bool(self.caller.get("ok")),
        }
        self.missing = [name for name, present in checks.items() if not present]
        return self.missing


def _measure(audio: bytes, target: Path) -> dict[str, Any]:
    target.write_bytes(audio)
    with wave.open(io.BytesIO(audio)) as heard:
        return {
            "path": str(target),
            "channels": heard.getnchannels(),
            "sample_rate": heard.getframerate(),
            "length_ms": round(heard.getnframes() * 1000 / heard.getframerate()),
        }


async def _settled(client: DemoClient, call_id: str, receiver: Receiver, patience: float) -> dict[str, Any]:
    """The call's trace once its recording is stored and its last event is delivered, or what there is by then."""
    deadline = asyncio.get_running_loop().time() + patience
    while True:
        trace: dict[str, Any] = await client.get(f"/api/calls/{call_id}/trace")
        stored = (trace.get("recording") or {}).get("state") == "stored"
        types = {one.type for one in receiver.of_call(call_id)}
        if (stored and types >= EXPECTED_EVENTS) or asyncio.get_running_loop().time() > deadline:
            return trace
        await asyncio.sleep(0.2)


async def gather(
    client: DemoClient, tenant: DemoTenant, receiver: Receiver, report: dict[str, Any], proxy: str, build: Path
) -> tuple[Evidence, dict[str, Any]]:
    """Everything that the last call left behind, and its trace."""
    calls = await client.get("/api/calls?limit=1")
    call_id = str(calls["items"][0]["id"])
    trace = await _settled(client, call_id, receiver, patience=20.0)
    recording: dict[str, Any] = {}
    if (trace.get("recording") or {}).get("state") == "stored":
        audio = await client.get_bytes(f"/api/recordings/{trace['recording']['id']}/audio")
        recording = _measure(audio, build / "demo-recording.wav")
        recording["off_ms"] = recording["length_ms"] - trace["call"]["duration_ms"]
    evidence = Evidence(
        call_id=call_id,
        turns=trace["turns"],
        interruptions=trace["interruptions"],
        recording=recording,
        transcript=await client.get(f"/api/calls/{call_id}/transcript"),
        webhook_deliveries=[
            {"id": one.event_id, "type": one.type, "verified": one.verified} for one in receiver.of_call(call_id)
        ],
        sip={"did": tenant.did, "proxy": proxy, "extension": tenant.extension, "domain": tenant.sip_domain},
        hangup={name: trace["call"].get(name) for name in ("hangup_cause", "hangup_by", "exit_reason")},
        caller=report,
    )
    return evidence, trace
