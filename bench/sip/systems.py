"""The systems under test: each stands between a caller and a phone, both of them SIPp."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from support.company import open_company
from support.kills import pids
from support.ports import free_port
from support.raw_phone import RawPhone
from support.running_node import running_node

ROOT = Path(__file__).resolve().parents[2]
SIPPY = ROOT / "build" / "bench-sippy-venv" / "bin" / "b2bua_simple"
RELAY = Path(__file__).with_name("kamailio-relay.cfg")


@dataclass(frozen=True)
class System:
    """One that runs: where it hears SIP, whom to call, the processes that do the signalling, and those beside it."""

    name: str
    port: int
    number: str
    signalling: list[int]
    beside: dict[str, list[int]]


@asynccontextmanager
async def sivo(phone_port: int) -> AsyncIterator[System]:
    """A whole node: the call goes from a trunk's address to an extension that is registered at ``phone_port``."""
    settings = {"SIVO_OPERATOR_PORT": str(free_port()), "SIVO_MEDIA_CALL_CAP": "500"}
    async with running_node(1, settings=settings) as node:
        company = await open_company(node, recording=False)
        _, phone = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: RawPhone("202", company.domain, company.passwords["202"], company.sip),
            local_addr=("127.0.0.1", phone_port),
        )
        if (await phone.register(3600)).status != 200:
            raise RuntimeError("the phone of the bench could not register")
        phone.close()
        beside = {"media": pids(node, "media"), "PostgreSQL": _below(node.platform.pid, "postgres")}
        yield System(
            "SIVO (B2BUA with media, CDR in PostgreSQL)", company.sip[1], company.did, pids(node, "call"), beside
        )


@asynccontextmanager
async def sippy(phone_port: int) -> AsyncIterator[System]:
    """sippy's own ``b2bua_simple``: signalling only, every call to one place."""
    port = free_port(socket.SOCK_DGRAM)
    arguments = ("-f", "-l", "127.0.0.1", "-p", str(port), "-n", f"127.0.0.1:{phone_port}")
    # It writes each message to a log unless told not to; what is measured is the switch and not the disk.
    quiet = os.environ | {"SIPLOG_BEND": "none"}
    async with _process(str(SIPPY), *arguments, environment=quiet) as pid:
        yield System("sippy 2.5.0 b2bua_simple (B2BUA, no media)", port, "100", [pid], {})


@asynccontextmanager
async def kamailio(phone_port: int) -> AsyncIterator[System]:
    """Kamailio as a stateful relay: no B2BUA, the floor of what a hop costs."""
    port = free_port(socket.SOCK_DGRAM)
    arguments = (
        "-DD",
        "-E",
        "-f",
        str(RELAY),
        "-A",
        f"LISTEN_PORT={port}",
        "-A",
        f'NEXT_HOP="sip:127.0.0.1:{phone_port}"',
    )
    async with _process("kamailio", *arguments, "-m", "64", "-Y", "/tmp") as pid:
        yield System("Kamailio (stateful relay, no B2BUA)", port, "100", [pid, *_below(pid, "kamailio")], {})


def missing() -> dict[str, str]:
    """Peers that are not there, and how they come."""
    absent = {}
    if not SIPPY.exists():
        absent["sippy"] = "scripts/sippy-venv"
    if shutil.which("kamailio") is None:
        absent["kamailio"] = "apt-get install kamailio"
    return absent


@asynccontextmanager
async def _process(*command: str, environment: dict[str, str] | None = None) -> AsyncIterator[int]:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env=environment,
    )
    try:
        await asyncio.sleep(2.0)
        if process.returncode is not None:
            raise RuntimeError(f"{command[0]} ended with {process.returncode}")
        yield process.pid
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 5)
            except TimeoutError:
                process.kill()
                await process.wait()


def _below(ancestor: int, name: str) -> list[int]:
    """Processes called ``name`` under ``ancestor``."""
    parents: dict[int, tuple[int, str]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                head, _, tail = (entry / "stat").read_text().rpartition(")")
            except OSError:
                continue
            parents[int(entry.name)] = int(tail.split()[1]), head.partition("(")[2]

    def under(pid: int) -> bool:
        while pid in parents:
            pid = parents[pid][0]
            if pid == ancestor:
                return True
        return False

    return [pid for pid, (_, called) in parents.items() if called == name and under(pid)]
