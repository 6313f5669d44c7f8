"""The real worker role in a process of its own, killed with -9 when the server has the message and nobody knows it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sivo.base.clock import SystemClock
from sivo.base.settings import Settings
from sivo.db.scopes import Database
from sivo.mail.post import Mail, Post
from sivo.mail.template import Kind
from support.plane import open_plane
from support.smtp_world import SmtpWorld, smtp_world

_WORKER = """
import asyncio
from sivo.base.settings import Settings
from sivo.node import worker_role
asyncio.run(worker_role.run(Settings(), asyncio.Event()))
"""
_PATIENCE_S = 60


@pytest.fixture
async def smtp(tmp_path: Path) -> AsyncIterator[SmtpWorld]:
    """On the loop of this test, as its database is."""
    async with smtp_world(tmp_path) as world:
        yield world


def start_worker(settings: Settings, app_dsn: str, smtp: SmtpWorld) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "SIVO_HOME": str(settings.home), "SIVO_APP_DSN": app_dsn, **smtp.environment()}
    return subprocess.Popen([sys.executable, "-c", _WORKER], env=environment)


async def test_a_message_that_was_taken_before_the_kill_comes_again_with_the_same_id(
    settings: Settings, database: Database, app_dsn: str, smtp: SmtpWorld
) -> None:
    plane = await open_plane(settings, SystemClock(), database)
    tenant = await plane.tenant()
    post = Post(smtp.settings(settings), plane.vault, SystemClock())
    await post.ready(tenant)
    async with database.tenant(tenant) as connection:
        mail = Mail(Kind.PASSWORD_CHANGED, "ana@acme.example", "Ana", values={"name": "Ana"})
        await post.put(connection, tenant, mail)

    worker = start_worker(settings, app_dsn, smtp)
    dead = asyncio.Event()

    def kill() -> None:
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        dead.set()

    smtp.mailbox.taken = kill
    try:
        await asyncio.wait_for(dead.wait(), _PATIENCE_S)
    finally:
        worker.kill()
        worker.wait()
    async with database.tenant(tenant) as connection:
        assert await connection.fetchval("select state from mail_message") == "pending", "accepted, and not known here"

    smtp.mailbox.taken = lambda: None
    second = start_worker(settings, app_dsn, smtp)
    try:
        deadline = time.monotonic() + _PATIENCE_S
        state = "pending"
        while state == "pending" and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
            async with database.tenant(tenant) as connection:
                state = await connection.fetchval("select state from mail_message")
        assert state == "sent"
    finally:
        second.kill()
        second.wait()
    first, again = smtp.mailbox.received
    assert first.message["Message-ID"] == again.message["Message-ID"]
    assert first.text == again.text and first.message["Date"] == again.message["Date"]
