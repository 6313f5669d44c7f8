"""What an operator sees of a running node: figures, dashboard, readiness, probes, logs and the SIP ladder elsewhere."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from sivo.monitoring.declared import BY_ROLE
from sivo.monitoring.metric import NUMBERED
from support.ai_desk import Caller, clip, open_desk
from support.company import open_company
from support.hep_collector import HepCollector
from support.provider_double import BROKEN, LLM, Double
from support.running_node import Node

pytestmark = pytest.mark.asyncio(loop_scope="session")
DASHBOARD = Path(__file__).parents[2] / "deploy" / "grafana" / "sivo.json"
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


async def get(node: Node, path: str) -> tuple[int, str]:
    url = f"http://127.0.0.1:{node.platform.operator_port}{path}"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.text()


def samples(text: str) -> Samples:
    return {
        (one.name, tuple(sorted(one.labels.items()))): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


async def until(node: Node, true: Callable[[Samples], bool], patience: float = 20.0) -> Samples:
    """The figures as soon as they say what they should."""
    deadline = time.monotonic() + patience
    while True:
        found = samples((await get(node, "/metrics"))[1])
        if true(found):
            return found
        assert time.monotonic() < deadline, {key: value for key, value in found.items() if value}
        await asyncio.sleep(0.5)


def total(found: Samples, name: str, **labels: str) -> float:
    """Sum over all series that have these labels."""
    return sum(value for (one, given), value in found.items() if one == name and labels.items() <= dict(given).items())


async def sivo(node: Node, *words: str) -> tuple[int, str]:
    """The command line, as the operator uses it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "sivo.cli.main",
        *words,
        env=dict(node.platform.environment()),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


def asked_by_the_dashboard() -> dict[str, set[str]]:
    """Names of series in the PromQL of every panel."""
    found: dict[str, set[str]] = {}
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        words = " ".join(target["expr"] for target in panel.get("targets", []))
        if panel["type"] != "row":
            found[panel["title"]] = set(re.findall(r"\bsivo_[a-z0-9_]+", words))
    return found


async def test_a_call_as_its_operator_sees_it(node: Node, double: Double, hep: HepCollector) -> None:
    desk = await open_desk(node, double)
    company = await open_company(node)
    before = samples((await get(node, "/metrics"))[1])
    hep.take()
    async with company.phone("201") as phone:
        assert (await phone.register()).status == 200
        desk.account.heard = ["the secret word is heliotrope"] * 5
        caller = await Caller.dial(desk)
        await caller.until(lambda: caller.heard(), "the greeting")
        await asyncio.sleep(1.0)
        desk.account.fail(LLM, BROKEN)
        await caller.say(clip("en_order_slt"))
        await asyncio.sleep(2.0)
        await caller.close()
        trace = await desk.trace(caller.number)
        call_id = str(trace["call"]["id"])

        def grown(found: Samples, name: str, **labels: str) -> float:
            return total(found, name, **labels) - total(before, name, **labels)

        found = await until(
            node,
            lambda now: (
                grown(now, "sivo_calls_ended_total") >= 1 and total(now, "sivo_sender_lateness_seconds_count") > 0
            ),
        )
        assert total(found, "sivo_registrations") >= 1
    assert grown(found, "sivo_calls_started_total", direction="inbound") == 1
    assert grown(found, "sivo_call_ringing_seconds_count") == 1
    assert grown(found, "sivo_call_setup_seconds_count", direction="inbound") == 1
    assert grown(found, "sivo_provider_faults_total", stage="llm") >= 1
    for name in ("sivo_leg_jitter_seconds_count", "sivo_leg_loss_ratio_count", "sivo_leg_mos_count"):
        assert grown(found, name, leg="caller") == 1, name
    assert grown(found, "sivo_sip_messages_total", direction="in", kind="INVITE") >= 1
    assert grown(found, "sivo_http_requests_total", status="2xx") >= 1
    queues = ("recording", "webhook", "mail", "outbox")
    found = await until(node, lambda now: all(("sivo_due_rows", (("queue", q),)) in now for q in queues))
    assert ("sivo_journal_files", ()) in found

    _labels_are_closed(found, (call_id, desk.tenant_id, company.tenant_id, caller.number, desk.number))
    _log_names_its_calls(node, call_id, desk.tenant_id)
    _ladder_elsewhere(hep, call_id, company.passwords["201"])


def _labels_are_closed(found: Samples, strangers: tuple[str, ...]) -> None:
    declared = {metric.name: metric for metrics in BY_ROLE.values() for metric in metrics}
    for name, given in found:
        metric = declared.get(name) or declared[re.sub(r"_(bucket|sum|count)$", "", name)]
        for label, value in given:
            if label == "le":
                continue
            allowed = metric.labels[label]
            assert allowed is NUMBERED or value in allowed, (name, label, value)
            assert value not in strangers
    assert len(found) < 1500


def _log_names_its_calls(node: Node, call_id: str, tenant_id: str) -> None:
    said = node.platform.log_path.read_text()
    assert "heliotrope" not in said
    own = [json.loads(line) for line in said.splitlines() if call_id in line]
    assert any(line["event"] == "call ended" for line in own)
    assert [line for line in own if (line.get("call"), line.get("tenant")) != (call_id, tenant_id)] == []


def _ladder_elsewhere(hep: HepCollector, call_id: str, password: str) -> None:
    packets = hep.take()
    ours = [packet for packet in packets if packet.correlation == call_id]
    lines = [packet.first_line for packet in ours]
    for start in ("INVITE ", "SIP/2.0 180", "SIP/2.0 200", "ACK ", "BYE "):
        assert any(line.startswith(start) for line in lines), (start, lines)
    invite = next(packet for packet in ours if packet.first_line.startswith("INVITE "))
    ok = next(packet for packet in ours if packet.first_line.startswith("SIP/2.0 200"))
    assert (invite.source, invite.target) == (ok.target, ok.source)
    assert (invite.agent, invite.key) == (2001, b"hep-key") and invite.at <= ok.at
    registers = [packet for packet in packets if packet.first_line.startswith("REGISTER ")]
    assert any("Authorization: Digest ***" in packet.payload for packet in registers)
    assert not any("response=" in packet.payload or password in packet.payload for packet in packets)


async def test_the_dashboard_asks_for_what_is_there(node: Node) -> None:
    texts = [(await get(node, "/metrics"))[1]]
    texts += [(await get(node, f"/probe?plane={plane}"))[1] for plane in ("api", "registration", "dashboard")]
    names = {name for text in texts for name, _ in samples(text)}
    panels = asked_by_the_dashboard()
    assert len(panels) > 30
    lacking = {title: missing for title, asked in panels.items() if (missing := asked - names)}
    assert not lacking
    assert (await get(node, "/probe?plane=moon"))[0] == 404


async def test_health_by_role(node: Node) -> None:
    status, body = await get(node, "/readyz")
    processes = json.loads(body)["processes"]
    assert status == 200, body
    assert set(processes) == {"call", "media-0", "worker", "api", "speech"}
    for name in processes:
        assert (await get(node, f"/healthz?role={name}"))[0] == 200
        assert (await get(node, f"/readyz?role={name}"))[0] == 200
    assert (await get(node, "/readyz?role=nobody"))[0] == 404


async def test_probes_do_the_real_thing(node: Node) -> None:
    company = await open_company(node, recording=False)
    assert '"not set up"' in (await get(node, "/probe?plane=registration"))[1]
    assert (await sivo(node, "probe", "setup", "--tenant", company.slug))[0] == 0
    account = node.platform.home / "probe.json"
    assert account.stat().st_mode & 0o777 == 0o600
    deadline = time.monotonic() + 15
    states: dict[str, Any] = {}
    while states.get("registration") != "up" and time.monotonic() < deadline:
        await asyncio.sleep(1.0)
        status, out = await sivo(node, "probe", "registration", "--json")
        states["registration"] = json.loads(out)["state"]
    assert (states["registration"], status) == ("up", 0)
    for plane, state in (("api", "up"), ("registration", "up"), ("dashboard", "not installed")):
        found = samples((await get(node, f"/probe?plane={plane}"))[1])
        assert found["sivo_probe_state", (("plane", plane), ("state", state))] == 1, found
        assert found["sivo_probe_success", (("plane", plane),)] == (state == "up")
    known = json.loads(account.read_text())
    account.write_text(json.dumps({**known, "sip_password": "wrong"}))
    assert (await sivo(node, "probe", "registration"))[0] == 1, "a probe that cannot fail proves nothing"
    account.unlink()
