"""Phones that register after a power cut: at a rate, each with its digest, repeating what is not answered."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from support.raw_phone import Message, RawPhone, parse

#: Phones of one extension, each at an address of its own.
PER_EXTENSION = 10
#: Seconds between repetitions (RFC 3261 timer E), 32 s in all.
_WAITS = (0.5, 1.0, 2.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0)


@dataclass
class Storm:
    """What came of it. ``seconds``: from a phone's first REGISTER to its 200."""

    phones: int
    failed: list[str] = field(default_factory=list)
    repeated: int = 0
    seconds: list[float] = field(default_factory=list)
    took_s: float = 0.0

    def line(self) -> str:
        """For a table."""
        ordered = sorted(self.seconds) or [0.0]
        p50, p99 = (ordered[int(share * (len(ordered) - 1))] * 1000 for share in (0.5, 0.99))
        return (
            f"{self.phones} phones in {self.took_s:.1f} s: {len(self.failed)} failed, {self.repeated} repeated, "
            f"registered after p50 {p50:.1f} ms, p99 {p99:.1f} ms"
        )


class _Socket(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.waiting: dict[str, asyncio.Future[Message]] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.host, self.port = transport.get_extra_info("sockname")[:2]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        message = parse(data, time.monotonic())
        key = f"{message.headers['call-id']} {message.headers['cseq']}"
        waiting = self.waiting.get(key)
        if message.status >= 200 and waiting is not None and not waiting.done():
            waiting.set_result(message)


async def register_storm(server: tuple[str, int], domain: str, passwords: dict[str, str], rate: float) -> Storm:
    """:data:`PER_EXTENSION` phones of each extension (number -> password) register, ``rate`` new ones a second."""
    loop = asyncio.get_running_loop()
    sockets = [
        (await loop.create_datagram_endpoint(_Socket, local_addr=(f"127.0.3.{index + 1}", 0)))[1]
        for index in range(PER_EXTENSION)
    ]
    storm = Storm(len(passwords) * len(sockets))
    begun = time.monotonic()
    tasks = []
    try:
        for number, (user, socket) in enumerate((user, socket) for socket in sockets for user in passwords):
            await asyncio.sleep(max(begun + number / rate - time.monotonic(), 0))
            phone = RawPhone(user, domain, passwords[user], server)
            phone.transport, phone.host, phone.port = socket.transport, socket.host, socket.port
            tasks.append(asyncio.create_task(_register(storm, socket, phone)))
        await asyncio.gather(*tasks)
        storm.took_s = time.monotonic() - begun
    finally:
        for socket in sockets:
            socket.transport.close()
    return storm


async def _register(storm: Storm, socket: _Socket, phone: RawPhone) -> None:
    begun = time.monotonic()
    uri, aor, extra = f"sip:{phone.domain}", f"sip:{phone.user}@{phone.domain}", "Expires: 3600\r\n"
    try:
        answer = await _ask(storm, socket, phone, phone.request("REGISTER", uri, to=aor, extra=extra))
        if answer.status == 401:
            header = phone.authorization(answer, "REGISTER", uri)
            answer = await _ask(storm, socket, phone, phone.request("REGISTER", uri, to=aor, extra=extra + header))
    except TimeoutError:
        storm.failed.append(f"{phone.user} at {phone.host}: no answer")
        return
    if answer.status == 200:
        storm.seconds.append(time.monotonic() - begun)
    else:
        storm.failed.append(f"{phone.user} at {phone.host}: {answer.first_line}")


async def _ask(storm: Storm, socket: _Socket, phone: RawPhone, text: str) -> Message:
    key = f"{phone.call_id} {phone.cseq} REGISTER"
    waiting = socket.waiting[key] = asyncio.get_running_loop().create_future()
    try:
        phone.send(text)
        for seconds in _WAITS:
            done, _ = await asyncio.wait({waiting}, timeout=seconds)
            if done:
                return waiting.result()
            storm.repeated += 1
            phone.send(text)
        raise TimeoutError
    finally:
        del socket.waiting[key]
