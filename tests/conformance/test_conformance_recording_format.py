"""``recording.default_format``: container and codec of the stored object, as ffprobe reads them."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from support.ai_desk import GREETING, PITCH, Desk, open_desk
from support.conformance import conformance
from support.conformance_table import Evidence
from support.provider_double import Double
from support.running_node import Node

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: Format -> container and codec by ffprobe's names.
WANTED = {"mp3": ("mp3", "mp3"), "ogg": ("ogg", "opus"), "wav": ("wav", "pcm_s16le")}


def probe(path: Path) -> dict[str, Any]:
    """What ffprobe says; it fails on anything that it cannot decode to the end."""
    shown = ["-show_entries", "format=format_name,duration:stream=codec_name,channels", "-of", "json"]
    done = subprocess.run(["ffprobe", "-v", "error", *shown, str(path)], capture_output=True, timeout=30, check=True)
    return dict(json.loads(done.stdout))


async def _recorded(desk: Desk, call_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        items = (await desk.api("GET", "/api/recordings"))["items"]
        found = [one for one in items if one["call_id"] == call_id and one["state"] == "stored"]
        if found:
            return dict(found[0])
        await asyncio.sleep(0.3)
    raise AssertionError(f"the recording of {call_id} was not stored: {items}")


async def _one_call(desk: Desk) -> dict[str, Any]:
    async with desk.call() as caller:
        await caller.silence_after(PITCH[GREETING])
        await asyncio.sleep(2.0)
    return dict((await desk.trace(caller.number))["call"])


@conformance("recording.default_format", "container and codec of the stored object", "ffprobe")
async def test_container_and_codec_follow_the_key_and_a_policy_beats_it(
    node: Node, double: Double, tmp_path: Path, evidence: Evidence
) -> None:
    desk = await open_desk(node, double, keys={"recording.default_format": "mp3"})
    policy = (await desk.api("POST", "/api/recording-policies", {"name": "all"}))["id"]
    await asyncio.sleep(1.5)
    for wanted in ("mp3", "ogg", "wav"):
        if wanted == "ogg":
            await desk.change({"recording.default_format": "ogg"})
        elif wanted == "wav":
            await desk.api("PATCH", f"/api/recording-policies/{policy}", {"format": "wav"})
            await asyncio.sleep(1.5)
        call = await _one_call(desk)
        recording = await _recorded(desk, call["id"])
        path = tmp_path / f"call.{wanted}"
        path.write_bytes(await node.client.get_bytes(f"/api/recordings/{recording['id']}/audio", desk.tenant_id))
        found = probe(path)
        stream = found["streams"][0]
        assert (found["format"]["format_name"], stream["codec_name"]) == WANTED[wanted]
        assert stream["channels"] == 2, "caller and agent apart"
        # MP3 adds its encoder's delay and fills its last frame: up to 0.25 s at 8 kHz.
        assert abs(float(found["format"]["duration"]) * 1000 - call["duration_ms"]) <= 300
    evidence("recording.default_format", f"by ffprobe: {WANTED}")
