"""The line between ``call`` and ``media`` when it breaks, is taken over or carries garbage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from media_child import ToneAgent
from media_harness import KEY, Call, add_leg, agent, open_session

from sivo.base.settings import Settings
from sivo.media import journal, role
from sivo.media import protocol as wire


@pytest.fixture
async def socket_path(tmp_path: Path) -> AsyncIterator[Path]:
    """A media role in this process; the path of its socket."""
    settings = Settings(home=tmp_path, rtp_port_min=33800, rtp_port_max=33999, media_processes=1)
    stop = asyncio.Event()
    task = asyncio.create_task(role.run(settings, stop, 0, ToneAgent))
    while not settings.media_socket(0).exists():
        await asyncio.sleep(0.01)
        assert not task.done(), task.exception()
    yield settings.media_socket(0)
    stop.set()
    await task


async def test_socket_is_private(socket_path: Path) -> None:
    assert socket_path.stat().st_mode & 0o777 == 0o600
    assert socket_path.parent.stat().st_mode & 0o777 == 0o700


async def test_sessions_without_call_end_with_their_journals(
    socket_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sivo.media.process.ORPHAN_S", 0.3)
    call = await Call.connect(socket_path)
    path = Path(await open_session(call, "orphan"))
    await add_leg(call, "orphan", "a", 0, 9)
    await call.send(wire.StartConversation, session="orphan", leg="a", spec=agent(60_000))
    await call.send(wire.StartCapture, session="orphan", record=True)
    call.close()
    await asyncio.sleep(0.15)
    assert not journal.read(path, KEY).closed, "not at once: call may only be restarting"
    async with asyncio.timeout(5):
        while not (found := journal.read(path, KEY)).closed:
            await asyncio.sleep(0.05)
    assert found.end is not None and found.end.reason == "node_failure"
    endings = [fact.body.reason for fact in found.facts if isinstance(fact.body, wire.ConversationEnded)]
    assert endings == ["node_failure"]
    again = await Call.connect(socket_path)
    assert (await again.hello).sessions == []
    again.close()


async def test_call_that_comes_back_in_time_keeps_its_sessions(
    socket_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sivo.media.process.ORPHAN_S", 0.3)
    call = await Call.connect(socket_path)
    await open_session(call, "kept")
    call.close()
    again = await Call.connect(socket_path)
    assert (await again.hello).sessions == ["kept"]
    await asyncio.sleep(0.5)
    assert (await again.send(wire.CloseSession, session="kept", reason="normal"))["journal_failed"] is False
    again.close()


async def test_newest_line_wins(socket_path: Path) -> None:
    first = await Call.connect(socket_path)
    await open_session(first, "taken")
    second = await Call.connect(socket_path)
    assert (await second.hello).sessions == ["taken"]
    await second.send(wire.CloseSession, session="taken", reason="normal")
    second.close()
    first.close()


@pytest.mark.parametrize(
    "data",
    [b"\xff\xff\xff\xff", b"\0\0\0\x05hello", b"\0\0\0\x01\xc0", wire.encode(wire.Note(session="", kind="x"))],
    ids=["too long", "no msgpack", "no command", "an event"],
)
async def test_garbage_closes_the_line_and_nothing_else(socket_path: Path, data: bytes) -> None:
    reader, writer = await asyncio.open_unix_connection(str(socket_path))
    writer.write(data)
    async with asyncio.timeout(5):
        await reader.read()  # hello, then the end
    writer.close()
    call = await Call.connect(socket_path)
    await open_session(call, "fine")
    await call.send(wire.CloseSession, session="fine", reason="normal")
    call.close()


async def test_commands_can_be_sent_without_waiting_for_answers(socket_path: Path) -> None:
    call = await Call.connect(socket_path)
    opened, added, started, closed = await asyncio.gather(
        open_session(call, "piped"),
        call.send(wire.AddLeg, session="piped", leg="a", channel=0),
        call.send(wire.StartCapture, session="piped", record=False),
        call.send(wire.CloseSession, session="piped", reason="normal"),
    )
    assert 33800 <= added["port"] <= 33999 and added["port"] % 2 == 0
    assert started == {}
    assert closed["journal"] == opened
    assert journal.read(Path(opened), KEY).closed
    call.close()


async def test_ports_come_back_after_many_calls(socket_path: Path) -> None:
    call = await Call.connect(socket_path)
    for number in range(120):  # more than the range has
        name = f"n{number}"
        await asyncio.gather(
            open_session(call, name),
            call.send(wire.AddLeg, session=name, leg="a", channel=0),
            call.send(wire.CloseSession, session=name, reason="normal"),
        )
    call.close()
