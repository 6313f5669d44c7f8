"""``make demo``: a whole contact centre on this machine, and one call to its AI agent.

Progress is printed while things happen. With ``ONCE=1`` it stops after the call, writes ``build/demo.json`` and exits
non-zero when a part is missing; otherwise the platform stays up for your own phone.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sivo.calls import trace as call_trace
from sivo.demo.client import DemoClient
from sivo.demo.evidence import Evidence, gather
from sivo.demo.platform import Platform, Ports
from sivo.demo.provision import DemoTenant, provision
from sivo.demo.receiver import Receiver

BUILD = Path("build").resolve()
#: The demo's carrier: a loopback address of its own, so that the trunk's ACL means something.
CALLER_HOST = "127.0.0.2"
#: The scripted call takes about a minute; a caller that hears nothing gives up by itself.
CALL_SECONDS = 150


def say(text: str) -> None:
    """One line of progress with the seconds since ``make demo`` was typed."""
    started = float(os.environ.get("SIVO_DEMO_STARTED") or 0) or _IMPORTED
    print(f"[{time.time() - started:5.1f} s] {text}", flush=True)


_IMPORTED = time.time()


async def ring(ports: Ports, tenant: DemoTenant) -> dict[str, Any]:
    """Let the prepared caller ring the DID; its own report of what was on the wire."""
    report = BUILD / "demo-caller.json"
    report.unlink(missing_ok=True)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "sivo.demo.caller",
        "--server",
        f"127.0.0.1:{ports.sip}",
        "--did",
        tenant.did,
        "--local",
        f"{CALLER_HOST}:0",
        "--script",
        "order",
        "--report",
        str(report),
        "--heard",
        str(BUILD / "demo-heard.wav"),
    )
    try:
        await asyncio.wait_for(process.wait(), CALL_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
    if not report.exists():
        return {"ok": False, "missing": [f"the caller ended with {process.returncode} and left no report"]}
    found: dict[str, Any] = json.loads(report.read_text())
    return found


def seconds_to_greeting(report: dict[str, Any]) -> float | None:
    """From ``make demo`` to the first frame of the agent's voice at the caller."""
    started = float(os.environ.get("SIVO_DEMO_STARTED") or 0)
    first = report.get("first_agent_frame_unix")
    return round(float(first) - started, 2) if started and first else None


def print_access(ports: Ports, tenant: DemoTenant) -> None:
    """How to ring the agent with a phone of one's own."""
    print(f"""
The platform is up. Ring the agent yourself:

  API              http://127.0.0.1:{ports.http}/api/openapi.json
  SIP account      sip:{tenant.extension}@{tenant.sip_domain}   password {tenant.sip_password}
  outbound proxy   sip:127.0.0.1:{ports.sip}   (Linphone: "SIP proxy address"; the domain is not in DNS)
  AI agent         dial {tenant.did}

  baresip          echo '<sip:{tenant.extension}@{tenant.sip_domain};transport=udp>;auth_pass={tenant.sip_password};outbound="sip:127.0.0.1:{ports.sip};transport=udp"' >> ~/.baresip/accounts

Ctrl-C stops everything.""")  # noqa: E501 - one line to copy


async def demo(once: bool) -> int:
    """Run the demo; the exit status."""
    ports = Ports.choose()
    platform = Platform(BUILD / "demo", ports)
    receiver = Receiver(secret="whsec_" + secrets.token_urlsafe(32))
    stop = asyncio.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    try:
        say("starting the node: PostgreSQL, api, call, media, speech, worker")
        await receiver.start(ports.receiver)
        await platform.start()
        async with DemoClient(platform.home / "run" / "api.sock") as client:
            say("node is up; making the tenant through the API")
            tenant = await provision(
                client.call,
                webhook_url=f"http://127.0.0.1:{ports.receiver}/events",
                webhook_secret=receiver.secret,
                caller_host=CALLER_HOST,
            )
            client.tenant_id = tenant.tenant_id
            say(f"ringing {tenant.did}: the caller asks for an order, interrupts once, says yes and goodbye")
            report = await ring(ports, tenant)
            greeting = seconds_to_greeting(report)
            say(f"call is over; first word of the greeting came {greeting} s after the start")
            evidence, trace = await gather(client, tenant, receiver, report, f"127.0.0.1:{ports.sip}", BUILD)
        evidence.seconds_to_greeting = greeting
        status = finish(evidence, trace)
        if not once:
            print_access(ports, tenant)
            await stop.wait()
        return status
    finally:
        say("stopping")
        await platform.stop()
        await receiver.stop()


def finish(evidence: Evidence, trace: dict[str, Any]) -> int:
    """Print the trace, write ``build/demo.json``; 1 when a part is missing."""
    print(call_trace.render(trace))
    print(f"recording: {evidence.recording.get('path')}   trace, transcript, deliveries: build/demo.json")
    missing = evidence.check()
    (BUILD / "demo.json").write_text(json.dumps(asdict(evidence), indent=2, ensure_ascii=False) + "\n")
    for name in missing:
        print(f"MISSING: {name}")
    say("everything is there" if not missing else f"{len(missing)} parts are missing")
    return 1 if missing else 0


def main() -> int:
    """Entry of ``python -m sivo.demo.run``."""
    BUILD.mkdir(exist_ok=True)
    once = os.environ.get("ONCE", "") not in ("", "0")
    try:
        return asyncio.run(demo(once))
    except RuntimeError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
