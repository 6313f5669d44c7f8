"""Starts a media process and acts as ``call`` on its socket."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from sivo.base.settings import Settings
from sivo.media import protocol as wire

KEY = bytes(range(32))
CHILD = Path(__file__).with_name("media_child.py")


class RefusedError(Exception):
    """A command was refused; ``code`` is from the error register."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class Call:
    """The test in the place of ``call``: sends commands, keeps facts and notes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._refs = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.hello: asyncio.Future[wire.Hello] = asyncio.get_running_loop().create_future()
        self.facts: list[wire.Fact] = []
        self.notes: list[wire.Note] = []
        self._task = asyncio.create_task(self._read())

    @classmethod
    async def connect(cls, path: Path) -> Call:
        reader, writer = await asyncio.open_unix_connection(str(path))
        return cls(reader, writer)

    async def send(self, kind: type[Any], **fields: Any) -> dict[str, Any]:
        ref = next(self._refs)
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[ref] = future
        self._writer.write(wire.encode(kind(ref=ref, **fields)))
        return await asyncio.wait_for(future, 10)

    def ack(self, session: str, seq: int) -> None:
        self._writer.write(wire.encode(wire.Ack(session=session, seq=seq)))

    def bodies(self, kind: type[Any]) -> list[Any]:
        return [fact.body for fact in self.facts if isinstance(fact.body, kind)]

    async def fact(self, kind: type[Any], count: int = 1, timeout: float = 10.0) -> Any:
        """Wait until there are ``count`` facts of that kind; the last of them."""
        async with asyncio.timeout(timeout):
            while len(self.bodies(kind)) < count:
                await asyncio.sleep(0.01)
        return self.bodies(kind)[count - 1]

    def close(self) -> None:
        self._task.cancel()
        self._writer.close()

    async def _read(self) -> None:
        deframer = wire.Deframer()
        while data := await self._reader.read(65536):
            for body in deframer.feed(data):
                self._take(wire.event_decoder.decode(body))

    def _take(self, event: wire.Event) -> None:
        if isinstance(event, wire.Hello):
            self.hello.set_result(event)
        elif isinstance(event, wire.Done):
            self._waiting.pop(event.ref).set_result(event.result)
        elif isinstance(event, wire.Refused):
            self._waiting.pop(event.ref).set_exception(RefusedError(event.code, event.message))
        elif isinstance(event, wire.Fact):
            self.facts.append(event)
        else:
            self.notes.append(event)


class Media:
    """A media process of its own."""

    def __init__(self, home: Path, ports: tuple[int, int], call_cap: int = 20) -> None:
        self.settings = Settings(home=home)
        self._environment = {
            **os.environ,
            "SIVO_HOME": str(home),
            "SIVO_RTP_PORT_MIN": str(ports[0]),
            "SIVO_RTP_PORT_MAX": str(ports[1]),
            "SIVO_MEDIA_PROCESSES": "1",
            "SIVO_MEDIA_CALL_CAP": str(call_cap),
        }
        self.process: subprocess.Popen[bytes] | None = None

    async def start(self) -> Call:
        """Start it and connect."""
        read_end, write_end = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, str(CHILD)],
            env={**self._environment, "SIVO_READY_FD": str(write_end)},
            pass_fds=(write_end,),
        )
        os.close(write_end)
        assert await asyncio.to_thread(os.read, read_end, 16) == b"ready\n"
        os.close(read_end)
        return await self.connect()

    async def connect(self) -> Call:
        return await Call.connect(self.settings.media_socket(0))

    def kill(self) -> None:
        """``kill -9``, and wait for it."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    async def terminate(self) -> int:
        """A clean stop; the exit status."""
        assert self.process is not None
        self.process.terminate()
        return await asyncio.to_thread(self.process.wait, 10)


async def open_session(call: Call, session: str, record: bool = True) -> str:
    """Open a session named after the test; its journal's path."""
    result = await call.send(
        wire.OpenSession,
        session=session,
        tenant="t1",
        call=session,
        journal_key=KEY,
        journal_key_sealed=b"sealed",
        record=record,
    )
    return str(result["journal"])


async def add_leg(call: Call, session: str, leg: str, channel: int, port: int, **remote: Any) -> int:
    """Add a leg towards 127.0.0.1:``port``; the leg's own port."""
    result = await call.send(wire.AddLeg, session=session, leg=leg, channel=channel)
    where = wire.Remote(**{"host": "127.0.0.1", "port": port, **remote})
    await call.send(wire.SetRemote, session=session, leg=leg, remote=where)
    return int(result["port"])


def agent(tone_ms: int) -> wire.ConversationSpec:
    """The tone agent of the child process, playing for so long."""
    stage = wire.Stage(protocol="openai", base_url="http://127.0.0.1:9/v1", model="none")
    return wire.ConversationSpec(
        agent_id="a1",
        agent_name="tone",
        prompt="",
        greeting=str(tone_ms),
        language="en",
        stt=stage,
        llm=stage,
        tts=stage,
    )
