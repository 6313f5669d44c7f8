"""Peers nobody here wrote, and a lossy wire between them and us."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sip_uas import free_port

SCENARIOS = Path(__file__).parent / "scenarios"


@dataclass(frozen=True)
class SippResult:
    """What SIPp counted. ``failed`` includes calls that ended in an unexpected message."""

    code: int
    successful: int
    failed: int
    output: str


async def sipp(remote: str, *arguments: str, cwd: Path) -> SippResult:
    """Run SIPp against ``remote`` until its calls are done (at most 40 s)."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        "sipp", remote, "-i", "127.0.0.1", "-p", str(port), "-mp", str(port + 2), "-nostdin", "-timeout", "40",
        *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=cwd,
    )  # fmt: skip
    try:
        raw, _ = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
    output = raw.decode("utf-8", "replace")
    return SippResult(process.returncode or 0, _count(output, "Successful call"), _count(output, "Failed call"), output)


def _count(output: str, label: str) -> int:
    """The cumulative value of the last statistics screen."""
    lines = [line for line in output.splitlines() if label in line]
    return int(lines[-1].rpartition("|")[2]) if lines else -1


class LossyWire(asyncio.DatagramProtocol):
    """Relays datagrams between one caller and ``server``; drops those that ``drop(data, from_server)`` picks.

    It asks for ``rport`` in the caller's name (SIPp does not), so that answers come back over the wire.
    """

    def __init__(self, server: tuple[str, int], drop: Callable[[bytes, bool], bool]) -> None:
        self.server = server
        self.drop = drop
        self.dropped: Counter[str] = Counter()
        self.caller: tuple[str, int] | None = None
        self.port = free_port()
        self._transport: asyncio.DatagramTransport | None = None

    async def __aenter__(self) -> LossyWire:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", self.port))
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._transport is not None
        self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        from_server = addr == self.server
        if not from_server:
            self.caller = addr
        if self.drop(data, from_server):
            self.dropped[data.split(b"\r\n", 1)[0].decode()] += 1
        elif (to := self.caller if from_server else self.server) is not None and self._transport is not None:
            self._transport.sendto(data if from_server else data.replace(b";branch=", b";rport;branch=", 1), to)


class RawPhone(asyncio.DatagramProtocol):
    """A socket that sends what it is told and keeps what comes."""

    def __init__(self) -> None:
        self.inbox: asyncio.Queue[bytes] = asyncio.Queue()
        self._transport: asyncio.DatagramTransport | None = None

    async def open(self, host: str = "127.0.0.1") -> RawPhone:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(host, free_port()))
        return self

    @property
    def port(self) -> int:
        assert self._transport is not None
        return int(self._transport.get_extra_info("sockname")[1])

    def send(self, data: bytes, port: int) -> None:
        assert self._transport is not None
        self._transport.sendto(data, ("127.0.0.1", port))

    async def next(self, seconds: float = 5.0) -> bytes:
        return await asyncio.wait_for(self.inbox.get(), seconds)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.inbox.put_nowait(data)

    def close(self) -> None:
        assert self._transport is not None
        self._transport.close()


async def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until ``condition`` holds; TimeoutError if it never does."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)
