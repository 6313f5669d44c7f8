"""``POST /api/providers/test`` and ``sivo provider test`` against the simulators: one line says what is wrong."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

import pytest

from sivo.simulators.script import FaultOrder, LlmScript, Script, SttScript, TtsScript
from support.ai_desk import Desk, Places, open_desk
from support.provider_double import Double
from support.running_node import Node
from support.vendor_world import Vendors

pytestmark = pytest.mark.asyncio(loop_scope="session")

KEYS = {
    "ai.stt_provider": "deepgram",
    "ai.stt_model": "nova-2",
    "ai.tts_provider": "elevenlabs",
    "ai.tts_model": "eleven_flash_v2_5",
    "ai.tts_voice_id": "carmen",
    "ai.llm_model": "thinks-1",
    "transcription.language": "en",
}


async def _desk(node: Node, double: Double, vendors: Vendors, **keys: Any) -> Desk:
    where = Places(stt=vendors.url, tts=vendors.url, llm=f"{vendors.url}/v1")
    desk = await open_desk(node, double, keys=KEYS | keys, places=where)
    script = Script(
        stt=SttScript(utterances=["hello"]),
        tts=TtsScript(voices=["carmen"], first_byte_ms=80),
        llm=LlmScript(models=["thinks-1"], first_token_ms=90),
    )
    vendors.world.make(desk.account.key, script)
    return desk


async def _try(desk: Desk, stage: str, **more: Any) -> dict[str, Any]:
    return dict(await desk.api("POST", "/api/providers/test", {"stage": stage, **more}))


async def test_what_works_is_measured(node: Node, double: Double, vendors: Vendors) -> None:
    desk = await _desk(node, double, vendors)
    llm, tts, stt = [await _try(desk, stage, agent=desk.ids["agent"]) for stage in ("llm", "tts", "stt")]
    assert (llm["ok"], tts["ok"], stt["ok"]) == (True, True, True), (llm, tts, stt)
    assert llm["latency_ms"]["first_token"] >= 90 and "first token after" in llm["line"]
    assert tts["latency_ms"]["first_audio"] >= 80 and "voice carmen of model eleven_flash_v2_5 speaks" in tts["line"]
    assert stt["line"].startswith("stt ok: model nova-2 hears en")
    assert vendors.world.accounts[desk.account.key].offences == []


#: What goes wrong -> stage, keys or faults of the vendor, kind, words in the line.
WRONG: dict[str, tuple[str, dict[str, Any], list[FaultOrder], str, str]] = {
    "key": ("llm", {}, [FaultOrder(protocol="openai_chat", kind="invalid_api_key", times=9)], "key", "HTTP 401"),
    "quota": ("llm", {}, [FaultOrder(protocol="openai_chat", kind="insufficient_quota", times=9)], "quota", "credit"),
    "model": ("llm", {"ai.llm_model": "llama-3.1-8b"}, [], "model", "openai/gpt-oss-120b"),
    "voice": ("tts", {"ai.tts_voice_id": "nobody", "ai.tts_model": "eleven_v3"}, [], "voice", "voice"),
    "tts quota": ("tts", {}, [FaultOrder(protocol="elevenlabs_ws", kind="error", times=9)], "quota", "quota_exceeded"),
    "tts handshake": (
        "tts",
        {},
        [FaultOrder(protocol=f"elevenlabs_{way}", kind="quota_exceeded", times=9) for way in ("ws", "http")],
        "quota",
        "quota_exceeded",
    ),
    "tts model": ("tts", {"ai.tts_model": "eleven_nova_v2"}, [], "model", "eleven_nova_v2"),
    "stt key": ("stt", {}, [FaultOrder(protocol="deepgram", kind="auth_error", times=9)], "key", ""),
    "dns": ("llm", {"ai.llm_base_url": "https://no-such-host.invalid/v1"}, [], "dns", "cannot be resolved"),
    "tls": ("llm", {"ai.llm_base_url": "https://127.0.0.1:{port}/v1"}, [], "tls", "TLS"),
    "address": ("llm", {"ai.llm_base_url": "https://10.1.2.3/v1"}, [], "address", "10.1.2.3"),
}


@pytest.mark.parametrize("case", WRONG)
async def test_what_is_wrong_is_named(node: Node, double: Double, vendors: Vendors, case: str) -> None:
    stage, keys, faults, kind, words = WRONG[case]
    keys = {name: value.format(port=vendors.port) if isinstance(value, str) else value for name, value in keys.items()}
    desk = await _desk(node, double, vendors, **keys)
    account = vendors.world.accounts[desk.account.key]
    account.script.faults = faults
    if case == "voice":
        account.script.tts.dialogue = False
    verdict = await _try(desk, stage)
    assert (verdict["ok"], verdict["kind"]) == (False, kind), verdict
    assert words in verdict["line"] and "\n" not in verdict["line"]
    assert desk.account.key not in str(verdict)


async def test_the_command_line_says_the_same(node: Node, double: Double, vendors: Vendors) -> None:
    desk = await _desk(node, double, vendors, **{"ai.llm_model": "gone"})
    slug = (await node.client.call("GET", "/api/config", None, desk.tenant_id))["tenant.slug"]
    environment = os.environ | {"SIVO_HOME": str(node.platform.home)}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "sivo.cli.main",
        "provider",
        "test",
        "llm",
        "tts",
        "--tenant",
        slug,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await process.communicate()
    first, second = printed.decode().strip().splitlines()
    assert first.startswith("llm model: model_not_found") and second.startswith("tts ok:")
    assert process.returncode == 1
