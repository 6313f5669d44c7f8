"""A person on the telephone, for the demo and for tests: rings a number, speaks prepared clips, listens, reports.

    python -m sivo.demo.caller --server 127.0.0.1:5060 --did +34910000000 --local 127.0.0.2:0 --script order

It is a process and a SIP/RTP stack of its own, so that what it reports is what was on the wire. Exit status 0 when
everything that the script waits for happened.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from sivo.demo.caller_audio import write_wav
from sivo.demo.caller_rtp import RtpPeer
from sivo.demo.caller_script import SCRIPTS, Findings, Performance
from sivo.demo.caller_sip import Account, CallFailed, SipCaller, offer, remote_of


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sivo.demo.caller", description="A scripted telephone caller.")
    parser.add_argument("--server", required=True, help="SIP server, host:port")
    parser.add_argument("--did", required=True, help="number to ring")
    parser.add_argument("--local", default="127.0.0.1:0", help="own SIP address, host:port (0 = any port)")
    parser.add_argument("--script", default="order", choices=sorted(SCRIPTS))
    parser.add_argument(
        "--register", nargs=3, metavar=("USER", "PASSWORD", "DOMAIN"), help="ring as a registered phone"
    )
    parser.add_argument("--report", type=Path, help="where the JSON report goes (default: standard output)")
    parser.add_argument("--heard", type=Path, help="where to store what was heard, as WAV")
    return parser.parse_args(arguments)


def _place(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


async def call(options: argparse.Namespace) -> dict[str, Any]:
    """Make the call; the report."""
    host, port = _place(options.local)
    account = Account(*options.register) if options.register else Account()
    sip = await SipCaller.open(host, port, _place(options.server), account)
    rtp = await RtpPeer.open(host)
    offset = time.time() - time.monotonic()
    report: dict[str, Any] = {"script": options.script, "did": options.did, "ok": False}
    findings = Findings()
    try:
        if options.register:
            await sip.register()
        findings = await _talk(options, sip, rtp, report)
    except CallFailed as failure:
        findings.missing.append(str(failure))
    finally:
        await asyncio.sleep(0.1)  # the answer to a BYE may still have to be repeated
        sip.close()
        rtp.close()
    _complete(report, sip, rtp, findings, offset)
    if options.heard is not None:
        write_wav(options.heard, rtp.heard.audio)
        report["heard"] = str(options.heard)
    return report


async def _talk(options: argparse.Namespace, sip: SipCaller, rtp: RtpPeer, report: dict[str, Any]) -> Findings:
    rang = time.monotonic()
    answer = await sip.invite(options.did, offer(rtp.local_host, rtp.port))
    answered = time.monotonic()
    report["answer_ms"] = round((answered - rang) * 1000, 1)
    report["answered_monotonic"] = answered
    sender = asyncio.create_task(rtp.send_to(remote_of(answer.body)))
    performance = Performance(sip, rtp)
    try:
        await performance.play(SCRIPTS[options.script])
        await sip.bye()
    finally:
        sender.cancel()
        report["duration_ms"] = round(((sip.ended_at or time.monotonic()) - answered) * 1000, 1)
    return performance.findings


def _complete(report: dict[str, Any], sip: SipCaller, rtp: RtpPeer, findings: Findings, offset: float) -> None:
    heard = rtp.heard
    answered = report.pop("answered_monotonic", None)
    if answered is not None and heard.first_packet is not None:
        report["first_packet_ms"] = round((heard.first_packet - answered) * 1000, 1)
    if answered is not None and heard.first_voice is not None:
        report["first_agent_frame_ms"] = round((heard.first_voice - answered) * 1000, 1)
        report["first_agent_frame_unix"] = heard.first_voice + offset
    if answered is not None and sip.ended_by != "agent":
        findings.missing.append("the agent did not hang up")
    report.update(
        call_id=sip.dialog.call_id if sip.dialog else None,
        turns=findings.turns,
        interruption=findings.interruption,
        hung_up_by=sip.ended_by,
        hangup_reason=sip.end_reason,
        rtp={
            "sent": rtp.sent,
            "received": heard.packets,
            "lost": heard.lost,
            "largest_gap_ms": round(heard.largest_gap_ms, 1),
            "own_lateness_ms": round(rtp.latest_ms, 1),
        },
        sip=[
            {"at_ms": round((at - sip.log[0][0]) * 1000, 1), "way": way, "message": what} for at, way, what in sip.log
        ],
        missing=findings.missing,
        ok=not findings.missing,
    )


def main(arguments: list[str] | None = None) -> int:
    """Entry point; 0 when nothing is missing, 1 otherwise."""
    options = _arguments(arguments)
    report = asyncio.run(call(options))
    text = json.dumps(report, indent=2) + "\n"
    if options.report is None:
        print(text, end="")
    else:
        options.report.write_text(text)
    for missing in report["missing"]:
        print(f"caller: {missing}", file=sys.stderr)
    return 0 if report["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
