"""The engines under test: each a process of its own, pinned to one core, that takes calls on RTP ports."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from bench.voice import plan
from sivo.base.settings import Settings
from sivo.calls.media_link import MediaLink
from sivo.media import protocol as wire

ROOT = Path(__file__).resolve().parents[2]
PEER = Path(__file__).with_name("peer.py")


@dataclass(frozen=True)
class World:
    """Where the vendors are, who vouches for them, and which core the engine gets."""

    port: int
    authority: Path
    folder: Path
    core: int
    peer_python: Path


class Engine(Protocol):
    """One engine."""

    @property
    def pid(self) -> int:
        """Of the process that is measured."""
        ...

    async def open(self, number: int, caller_port: int) -> int:
        """Answer a call whose phone is on ``caller_port`` of loopback; the RTP port to send to."""
        ...

    async def close(self, number: int) -> dict[str, Any]:
        """Hang up; what the engine itself says of the call."""
        ...


def pinned(command: list[str], core: int, environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start a process on one core; what it prints goes to ``log``."""
    with log.open("ab") as out:
        return subprocess.Popen(
            ["taskset", "-c", str(core), *command], env={**os.environ, **environment}, stdout=out, stderr=out, cwd=ROOT
        )


async def ended(process: subprocess.Popen[bytes]) -> None:
    """End a process of ours, kindly first."""
    process.terminate()
    try:
        await asyncio.to_thread(process.wait, 8)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@asynccontextmanager
async def engine(name: str, world: World) -> AsyncIterator[Engine]:
    """Start an engine by name (``sivo``, ``pipecat``, ``livekit``)."""
    async with _sivo(world) if name == "sivo" else _peer(name, world) as started:
        yield started


# --- SIVO -------------------------------------------------------------------------------------------------------------


class _Listener:
    """Takes every fact for granted, so that the media process can let go of it."""

    def __init__(self) -> None:
        self.turns: list[wire.Turn] = []
        self.faults: list[str] = []
        self.slow: list[str] = []

    def media_up(self, link: MediaLink, hello: wire.Hello) -> None:
        pass

    def media_lost(self, link: MediaLink) -> None:
        pass

    def media_note(self, link: MediaLink, note: wire.Note) -> None:
        pass

    def media_fact(self, link: MediaLink, fact: wire.Fact) -> None:
        if isinstance(fact.body, wire.Turn):
            self.turns.append(fact.body)
        elif isinstance(fact.body, wire.ProviderFault):
            self.faults.append(f"{fact.body.stage}: {fact.body.cause}: {fact.body.detail}")
        elif isinstance(fact.body, wire.SlowCallback):
            self.slow.append(f"{fact.body.what} {fact.body.held_ms}")
        link.acknowledge(fact.session, fact.seq)


class Sivo:
    """The ``media`` role, as the node runs it: journal, jitter buffer, VAD and provider sockets included."""

    def __init__(self, link: MediaLink, listener: _Listener, world: World) -> None:
        self._link = link
        self._world = world
        self.listener = listener

    @property
    def pid(self) -> int:
        """See :class:`Engine`."""
        assert self._link.hello is not None
        return self._link.hello.pid

    async def open(self, number: int, caller_port: int) -> int:
        """See :class:`Engine`."""
        session, leg = f"bench-{number}", "a"
        send = self._link.command
        await send(
            wire.OpenSession,
            session=session,
            tenant="bench",
            call=session,
            journal_key=bytes(range(32)),
            journal_key_sealed=b"sealed",
            record=True,
        )
        port = int((await send(wire.AddLeg, session=session, leg=leg, channel=0))["port"])
        await send(wire.SetRemote, session=session, leg=leg, remote=wire.Remote(host="127.0.0.1", port=caller_port))
        await send(wire.StartConversation, session=session, leg=leg, spec=_spec(self._world.port))
        await send(wire.StartCapture, session=session, record=True)
        return port

    async def close(self, number: int) -> dict[str, Any]:
        """See :class:`Engine`."""
        closed = await self._link.command(wire.CloseSession, session=f"bench-{number}", reason="caller_hangup")
        return dict(closed["legs"]["a"])


def _spec(port: int) -> wire.ConversationSpec:
    url = f"https://localhost:{port}"

    def stage(protocol: str, base_url: str, model: str, voice: str = "") -> wire.Stage:
        return wire.Stage(
            protocol=protocol, base_url=base_url, model=model, api_key=plan.KEY, language="en", voice=voice
        )

    return wire.ConversationSpec(
        agent_id="bench",
        agent_name="bench",
        prompt=plan.SYSTEM,
        greeting="",
        language="en",
        stt=stage("deepgram", url, plan.STT_MODEL),
        llm=stage("openai", f"{url}/v1", plan.LLM_MODEL),
        tts=stage("elevenlabs", url, plan.TTS_MODEL, plan.VOICE),
        max_turns=1000,
        max_duration_sec=3600,
        silence_timeout_ms=600_000,
    )


@asynccontextmanager
async def _sivo(world: World) -> AsyncIterator[Engine]:
    home = world.folder / "sivo"
    settings = Settings(home=home)
    environment = {
        "SIVO_HOME": str(home),
        "SIVO_MEDIA_PROCESSES": "1",
        "SIVO_MEDIA_CALL_CAP": "400",
        "SIVO_RTP_PORT_MIN": os.environ.get("BENCH_RTP_MIN", "26200"),
        "SIVO_RTP_PORT_MAX": os.environ.get("BENCH_RTP_MAX", "26999"),
        "SIVO_DANGEROUS_OUTBOUND_ALLOW": f"127.0.0.1:{world.port},[::1]:{world.port}",
        "SSL_CERT_FILE": str(world.authority),
    }
    home.mkdir(mode=0o700)
    command = [sys.executable, "-m", "sivo.node.child", "media", "0"]
    process = pinned(command, world.core, environment, world.folder / "sivo.log")
    listener = _Listener()
    link = MediaLink(0, settings.media_socket(0), listener)
    running = asyncio.create_task(link.run())
    try:
        async with asyncio.timeout(20):
            while not link.ready:
                if process.poll() is not None:
                    raise RuntimeError((world.folder / "sivo.log").read_text()[-2000:])
                await asyncio.sleep(0.05)
        yield Sivo(link, listener, world)
    finally:
        running.cancel()
        await ended(process)


# --- the peers --------------------------------------------------------------------------------------------------------


class Peer:
    """A framework in a process of its own; one line of JSON a question on a Unix socket."""

    def __init__(self, process: subprocess.Popen[bytes], reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self._process = process
        self._reader = reader
        self._writer = writer

    @property
    def pid(self) -> int:
        """See :class:`Engine`."""
        return self._process.pid  # taskset becomes the process that it starts

    async def open(self, number: int, caller_port: int) -> int:
        """See :class:`Engine`."""
        return int((await self._ask({"open": number, "port": caller_port}))["port"])

    async def close(self, number: int) -> dict[str, Any]:
        """See :class:`Engine`."""
        return await self._ask({"close": number})

    async def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        self._writer.write(json.dumps(question).encode() + b"\n")
        line = await asyncio.wait_for(self._reader.readline(), 30)
        if not line:
            raise RuntimeError("the peer is gone; see its log")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer


@asynccontextmanager
async def _peer(name: str, world: World) -> AsyncIterator[Engine]:
    path, log = world.folder / f"{name}.sock", world.folder / f"{name}.log"
    environment = {
        "SSL_CERT_FILE": str(world.authority),
        "BENCH_VENDORS": f"localhost:{world.port}",
        "OMP_NUM_THREADS": "1",
        "LOG_LEVEL": "WARNING",
    }
    command = [str(world.peer_python), str(PEER), name, str(path)]
    process = pinned(command, world.core, environment, log)
    try:
        async with asyncio.timeout(120):
            while not path.exists():
                if process.poll() is not None:
                    raise RuntimeError(log.read_text()[-3000:])
                await asyncio.sleep(0.1)
        reader, writer = await asyncio.open_unix_connection(str(path))
        yield Peer(process, reader, writer)
        writer.close()
    finally:
        await ended(process)
