"""Killing parts of a running node with SIGKILL, and what must be left of a call afterwards."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from sivo.db.bootstrap import with_user
from sivo.db.secret_file import password
from support.ai_desk import Caller, Desk, clip
from support.company import Company, Line, spread
from support.provider_double import Sound
from support.raw_phone import RawPhone
from support.rtp_phone import RtpPhone, tone
from support.running_node import Node

#: The product's promises; what is measured against the wall clock is times three for a busy machine.
BYE_SECONDS = 3 * 1.0
NEXT_CALL_SECONDS = 3 * 2.0
SHORT_BY_MS = 500.0
#: A reply that was over so long before the kill has been journaled for certain (chunks of at most 200 ms).
SETTLED_SECONDS = 0.5
REPLY, REPLY_HZ, REPLY_MS = "It comes.", 1300, 300


def pids(node: Node, role: str, index: int = 0) -> list[int]:
    """Processes of one role of this node; none while it is being restarted."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0")
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == node.platform.pid and words[2:5] == [b"sivo.node.child", role.encode(), str(index).encode()]:
                found.append(int(entry.name))
    return found


def kill(node: Node, role: str, index: int = 0) -> float:
    """SIGKILL the process of a role; when it was done."""
    (pid,) = pids(node, role, index)
    os.kill(pid, signal.SIGKILL)
    return time.monotonic()


def kill_everything(node: Node) -> None:
    """SIGKILL the supervisor, every role and the embedded PostgreSQL, as a power cut would for the processes."""
    kill_with_children(node.platform.pid)


def kill_with_children(supervisor: int) -> None:
    """SIGKILL a process and all below it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    doomed = [supervisor]
    for pid in doomed:
        doomed += children.get(pid, [])
    for pid in doomed:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


async def start_again(node: Node) -> float:
    """The whole node once more on the same data; seconds until every role served."""
    begun = time.monotonic()
    await node.platform.start(patience=150.0, fresh=False)
    return time.monotonic() - begun


#: Sockets on which roles serve once they are ready, below ``run`` of the node's home.
_SOCKETS = {"media": "media-{}.sock", "api": "api.sock"}


async def back(node: Node, role: str, index: int = 0, timeout: float = 60.0) -> None:
    """Wait until a role has a process again, and serves if it is one that others connect to."""
    deadline = time.monotonic() + timeout
    socket = str(node.platform.home / "run" / _SOCKETS[role].format(index)) if role in _SOCKETS else ""
    while not pids(node, role, index) or not _is_bound(socket):
        assert time.monotonic() < deadline, f"{role} {index} is not back"
        await asyncio.sleep(0.05)


def _is_bound(socket: str) -> bool:
    # The file of a killed process stays, but the kernel lists only sockets that somebody holds.
    return socket in Path("/proc/net/unix").read_text()


def superuser_dsn(node: Node) -> str:
    """DSN of the node's embedded server for its superuser."""
    home = node.platform.home
    return with_user(
        (home / "run" / "app-dsn").read_text().strip(), "postgres", password(home / "db-postgres-password")
    )


async def rows(node: Node, query: str, *values: Any) -> list[dict[str, Any]]:
    """Rows as nobody but the database's superuser sees them."""
    connection = await asyncpg.connect(superuser_dsn(node))
    try:
        return [dict(row) for row in await connection.fetch(query, *values)]
    finally:
        await connection.close()


@dataclass
class Aftermath:
    """What was measured after one kill, in seconds and milliseconds."""

    what: str
    lived_s: float
    bye_s: float
    next_call_s: float
    short_by_ms: float
    turns: int

    def line(self) -> str:
        """For a table."""
        return (
            f"{self.what:<10} lived {self.lived_s:5.2f} s   BYE {self.bye_s * 1000:5.0f} ms   "
            f"next call {self.next_call_s:5.2f} s   short by {self.short_by_ms:4.0f} ms   turns {self.turns}"
        )


async def talking(desk: Desk, caller: Caller, until: float, replies: list[float]) -> None:
    """Ask and be answered until ``until``; the end of every reply that was heard whole is appended to ``replies``."""
    desk.account.heard = ["where is my order"] * 200
    desk.account.replies = [REPLY]
    desk.account.sounds[REPLY] = Sound(REPLY_HZ, REPLY_MS)
    while time.monotonic() < until:
        ended = await caller.say(clip("en_order_slt"))
        reply = await caller.hears(REPLY_HZ, after=ended)
        await asyncio.sleep(REPLY_MS / 1000 + 0.1)
        replies.append(reply.begun + REPLY_MS / 1000)


async def next_call(desk: Desk, since: float) -> float:
    """Ring the agent until it answers; seconds since ``since``."""
    while True:
        number = f"+3460099{random.randrange(10_000):04}"
        host, _, port = desk.node.proxy.partition(":")
        phone = await RawPhone.open(number, "carrier.example.com", "", (host, int(port)), "127.0.0.2")
        try:
            answer = await phone.invite(desk.number, 4000, auth=False)
            if answer.status == 200:
                took = time.monotonic() - since
                await phone.bye()
                return took
            assert answer.status == 503, answer.first_line
        finally:
            phone.close()
        assert time.monotonic() - since < 30, "no call is taken any more"
        await asyncio.sleep(0.1)


async def kill_media_under_agent(desk: Desk, company: Company, seconds: float) -> Aftermath:
    """Kill media under a talk with the agent after ``seconds``; assert everything that is promised."""
    replies: list[float] = []
    caller = await Caller.dial(desk)
    call = await company.call_of(caller.number, lambda one: one["media_index"] is not None)
    talk = asyncio.create_task(talking(desk, caller, time.monotonic() + 600, replies))
    await asyncio.sleep(seconds)
    known = await desk.api("GET", f"/api/calls/{call['id']}/transcript")
    killed = kill(desk.node, "media", call["media_index"])
    lived = killed - caller.answered
    talk.cancel()
    bye = await caller.hung_up(10)
    bye_s = asyncio.get_running_loop().time() - killed
    assert bye_s < BYE_SECONDS
    assert 'text="node_failure"' in bye.headers["reason"]
    again = await next_call(desk, killed)
    assert again < NEXT_CALL_SECONDS
    cdr = await company.ended(caller.number)
    assert cdr["hangup_cause"] == "node_failure"
    short = await _short_by(company, call["id"], lived * 1000)
    trace = await company.trace(call["id"])
    settled = sum(ended < killed - SETTLED_SECONDS for ended in replies)
    assert len(trace["turns"]) >= settled, f"{settled} replies were heard whole"
    assert [turn["turn"] for turn in trace["turns"]] == list(range(1, len(trace["turns"]) + 1))
    assert trace["conversations"][0]["reason"] == "node_failure"
    kept = await desk.api("GET", f"/api/calls/{call['id']}/transcript")
    assert kept[: len(known)] == known, "what was committed before the kill is there after it"
    assert len(kept) >= 2 * settled
    await caller.rtp.close()
    caller.sip.close()
    return Aftermath("agent", lived, bye_s, again, short, len(trace["turns"]))


async def kill_media_under_people(desk: Desk, company: Company, seconds: float) -> Aftermath:
    """Kill media under a talk of two people after ``seconds``; both phones get their BYE."""
    async with company.phone("201") as one, company.phone("202") as two:
        left, right = Line(one, await RtpPhone.open()), Line(two, await RtpPhone.open())
        two.auto_answer, two.rtp_port = 200, right.rtp.port
        assert (await two.register()).status == 200
        answer = await one.invite("202", left.rtp.port)
        assert answer.status == 200
        begun = time.monotonic()
        for line, message, hertz in ((left, answer, 400), (right, await two.wait("INVITE"), 1000)):
            line.rtp.play(tone(hertz, 60))
            line.talk(message)
        call = await company.call_of("201", lambda row: row["state"] == "answered")
        await asyncio.sleep(max(begun + seconds - time.monotonic(), 0))
        killed = kill(company.node, "media", call["media_index"])
        lived = killed - begun
        byes = [await phone.wait("BYE", 10) for phone in (one, two)]
        bye_s = max(bye.at for bye in byes) - killed
        assert bye_s < BYE_SECONDS
        assert all('text="node_failure"' in bye.headers["reason"] for bye in byes)
        again = await next_call(desk, killed)
        assert again < NEXT_CALL_SECONDS
        await company.call_of("201", lambda row: row["id"] == call["id"] and row["state"] == "ended")
        short = await _short_by(company, call["id"], lived * 1000)
        await left.rtp.close()
        await right.rtp.close()
    return Aftermath("people", lived, bye_s, again, short, 0)


async def _short_by(company: Company, call_id: str, lived_ms: float) -> float:
    recording = await company.recorded(call_id)
    assert recording["state"] == "stored", recording
    heard = await company.download(recording["id"])
    short = lived_ms - heard.ms
    assert short <= SHORT_BY_MS, f"{heard.ms:.0f} ms of {lived_ms:.0f} ms"
    return short


async def ready(desk: Desk, company: Company) -> None:
    """Wait until the changes made so far are known to the call role."""
    await spread(company)
    await asyncio.sleep(0.5)
