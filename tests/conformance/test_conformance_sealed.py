"""Keys that are decided when a call is made and written on its records. Observers: HTTP client, ffprobe on the disk."""

from __future__ import annotations

import asyncio
import subprocess
import time
from datetime import datetime
from typing import Any

import pytest

from support.ai_desk import GREETING, PITCH, Desk, open_desk
from support.conformance import conformance
from support.conformance_table import Evidence
from support.provider_double import Double
from support.running_node import Node

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROVIDER = "0198c5a0-0000-7000-8000-00000000beef"
FIRST = {
    "recording.default_retention_days": 9,
    "recording.kms_enabled": False,
    "recording.default_provider_id": PROVIDER,
    "transcription.policy_retention_days": 11,
}
SECOND = {"recording.default_retention_days": 8, "transcription.policy_retention_days": 12}


async def _call(desk: Desk) -> tuple[dict[str, Any], dict[str, Any]]:
    """Trace and recording of a call on which the agent spoke."""
    async with desk.call() as caller:
        await caller.silence_after(PITCH[GREETING])
    trace = await desk.trace(caller.number)
    deadline = time.monotonic() + 30
    while True:
        items = (await desk.api("GET", "/api/recordings"))["items"]
        found = next((one for one in items if one["call_id"] == trace["call"]["id"] and one["state"] == "stored"), None)
        if found is not None:
            return trace, dict(found)
        assert time.monotonic() < deadline, items
        await asyncio.sleep(0.2)


def _days(recording: dict[str, Any]) -> int:
    return (datetime.fromisoformat(recording["expires_at"]) - datetime.fromisoformat(recording["created_at"])).days


async def _transcript_days(desk: Desk, call: dict[str, Any]) -> int:
    segments = await desk.api("GET", f"/api/calls/{call['id']}/transcript")
    kept = datetime.fromisoformat(segments[0]["expiresAt"]) - datetime.fromisoformat(call["created_at"])
    return round(kept.total_seconds() / 86_400)


@conformance("recording.default_retention_days", "expiry stored with the recording, sealed", "HTTP client")
@conformance(
    "recording.kms_enabled", "said of the recording; never stored in clear", "HTTP client, ffprobe on the disk"
)
@conformance("recording.default_provider_id", "store decided with the call", "HTTP client (trace)")
@conformance("transcription.policy_retention_days", "expiry sealed at record creation", "HTTP client")
async def test_what_is_sealed_at_creation(node: Node, double: Double, evidence: Evidence) -> None:
    desk = await open_desk(node, double, keys=FIRST)
    await desk.api("POST", "/api/recording-policies", {"name": "all"})
    await asyncio.sleep(0.5)
    trace, recording = await _call(desk)
    assert _days(recording) == 9
    assert recording["kms"] is False
    decided = next(one for one in trace["decisions"] if one["kind"] == "recording")
    assert decided["details"]["provider_id"] == PROVIDER
    assert await _transcript_days(desk, trace["call"]) == 11
    stored = [path for path in (node.platform.home / "objects").rglob("*") if recording["id"] in path.name]
    assert len(stored) == 1
    judged = subprocess.run(["ffprobe", "-v", "error", str(stored[0])], capture_output=True, timeout=30, check=False)
    assert judged.returncode != 0 and b"RIFF" not in stored[0].read_bytes()[:64], "stored in clear"

    await desk.change(SECOND | {"recording.kms_enabled": True})
    again = await desk.api("GET", f"/api/recordings/{recording['id']}")
    assert (again["expires_at"], again["kms"]) == (recording["expires_at"], False), "sealed values moved"
    assert await _transcript_days(desk, trace["call"]) == 11
    trace, recording = await _call(desk)
    assert (_days(recording), recording["kms"], await _transcript_days(desk, trace["call"])) == (8, True, 12)
    evidence("recording.default_retention_days", "9 d, then 8 d on the next recording; the first still 9 d")
    evidence("recording.kms_enabled", "false, then true; the object on disk is nothing to ffprobe either way")
    evidence("recording.default_provider_id", f"decision of the call: {PROVIDER}")
    evidence("transcription.policy_retention_days", "11 d, then 12 d on the next call; the first still 11 d")
