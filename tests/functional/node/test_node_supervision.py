"""A real node under its supervisor: deaths, restarts, a killed supervisor, a second one, Ctrl-C."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from sivo.demo.platform import Platform, Ports, free_port

PATIENCE = 20.0
ROLES = {"call", "media-0", "worker", "api", "speech"}


def alive(pid: int) -> bool:
    """Whether a process of ours still runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def pids(platform: Platform) -> dict[str, int]:
    """The newest pid of each process, from the node's structured log."""
    found = {}
    for line in platform.log_path.read_text().splitlines():
        if '"event": "started"' in line:
            entry = json.loads(line)
            found[entry["process"]] = entry["pid"]
    return found


def postmaster(platform: Platform) -> int:
    """Pid of the embedded server."""
    return int(next(platform.home.rglob("postmaster.pid")).read_text().split()[0])


async def until(what: str, condition: object, patience: float = PATIENCE) -> None:
    deadline = time.monotonic() + patience
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, f"{what}: not within {patience} s"
        await asyncio.sleep(0.05)


async def health(platform: Platform, path: str) -> int:
    async with aiohttp.ClientSession() as session:
        try:
            async with session.get(f"http://127.0.0.1:{platform.ports.http}{path}") as answer:
                return answer.status
        except aiohttp.ClientError:
            return 0


@pytest.fixture
async def platform(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Platform]:
    monkeypatch.setenv("SIVO_MEDIA_PROCESSES", "1")
    home = Path(tempfile.mkdtemp(prefix="sivo-node-"))
    tcp = [free_port(0, socket.SOCK_STREAM) for _ in range(3)]
    made = Platform(
        home / "home",
        Ports(http=tcp[0], sip=free_port(0, socket.SOCK_DGRAM), speech=tcp[1], receiver=tcp[2]),
    )
    try:
        await made.start()
        yield made
    finally:
        await made.stop()
        await asyncio.to_thread(shutil.rmtree, home, ignore_errors=True)


async def test_a_dead_role_comes_back_and_the_others_stay(platform: Platform) -> None:
    before = pids(platform)
    assert set(before) == ROLES
    assert await health(platform, "/healthz") == 200
    assert await health(platform, "/readyz") == 200
    for role in ("worker", "media-0"):
        os.kill(before[role], signal.SIGKILL)
        await until(f"{role} restarted", lambda role=role: pids(platform)[role] != before[role])
    after = pids(platform)
    assert all(alive(pid) for pid in after.values())
    assert {role for role in ROLES if after[role] != before[role]} == {"worker", "media-0"}


async def test_a_second_supervisor_names_the_first(platform: Platform) -> None:
    second = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "sivo.cli.main", "run"],
        env=dict(platform.environment()),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert second.returncode == 1
    assert f"process {platform.pid} already runs a node" in second.stderr
    assert await health(platform, "/healthz") == 200


async def test_a_killed_supervisor_takes_everything_with_it_and_the_data_is_good(platform: Platform) -> None:
    children, database = pids(platform), postmaster(platform)
    os.kill(platform.pid, signal.SIGKILL)
    for name, pid in children.items():
        await until(f"{name} ends", lambda pid=pid: not alive(pid))
    await until("PostgreSQL ends", lambda: not alive(database))
    await platform.start(fresh=False)
    assert await health(platform, "/readyz") == 200


async def test_ctrl_c_stops_everything_and_postgresql_last(platform: Platform) -> None:
    children, database = pids(platform), postmaster(platform)
    await platform.stop()
    assert platform.exit_status == 0
    assert not any(alive(pid) for pid in children.values())
    assert not alive(database)
    assert list(platform.home.rglob("postmaster.pid")) == []
