"""Two nodes on one PostgreSQL behind Debian's Kamailio and rtpengine, with what ``sivo edge render`` wrote; and phones
that keep a route set, as everything behind a proxy has to."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import asyncpg

from sivo.base.settings import Settings
from sivo.db.embedded import EmbeddedPostgres
from sivo.demo.client import DemoClient
from sivo.demo.platform import Platform, Ports
from sivo.vault.kek import FileKek
from support.company import Company
from support.ports import free_port
from support.raw_phone import Message, RawPhone, sdp
from support.rtp_phone import RtpPhone, tone

#: The edge's two sides; phones are at 127.0.0.1, carriers where a trunk says.
OUTER, INNER = "127.0.0.8", "127.0.0.9"
_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class EdgePhone(RawPhone):
    """A phone behind a proxy: it keeps the Record-Route of its dialog, and gives it back as a callee."""

    def __init__(self, user: str, domain: str, password: str, server: tuple[str, int]) -> None:
        super().__init__(user, domain, password, server)
        #: Route headers of requests in the dialog, first hop first; Record-Route of the INVITE that came in.
        self.routes: list[str] = []
        self._recorded: dict[str, str] = {}
        self.raw: list[str] = []

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        text = data.decode()
        self.raw.append(text)
        head = text.partition("\r\n\r\n")[0]
        found = re.findall(r"^Record-Route: (.*)\r?$", head, re.M | re.I)
        values = [one.strip() for line in found for one in line.split(",")]
        if text.startswith("INVITE"):
            call_id = re.search(r"^Call-ID: (.*?)\r?$", head, re.M | re.I)
            assert call_id is not None
            self._recorded[call_id.group(1)] = "".join(f"Record-Route: {one}\r\n" for one in values)
            if self.auto_answer == 200:
                self.routes = values
        elif not self.to_tag and re.match(r"SIP/2\.0 2", text) and re.search(r"^CSeq: \d+ INVITE", head, re.M | re.I):
            self.routes = values[::-1]
        super().datagram_received(data, addr)

    def request(self, method: str, uri: str, body: str = "", extra: str = "", to: str = "", cseq: int = 0) -> str:
        if self.to_tag:
            extra = "".join(f"Route: {one}\r\n" for one in self.routes) + extra
        return super().request(method, uri, body, extra, to, cseq)

    def ack(self, answer: Message, uri: str) -> None:
        if answer.status >= 300:
            super().ack(answer, uri)
            return
        routes = "".join(f"Route: {one}\r\n" for one in self.routes)
        self.send(
            f"ACK {uri} SIP/2.0\r\nVia: {self._via()}\r\nMax-Forwards: 70\r\n{routes}From: {answer.headers['from']}\r\n"
            f"To: {answer.headers['to']}\r\nCall-ID: {self.call_id}\r\n"
            f"CSeq: {answer.headers['cseq'].split()[0]} ACK\r\nContent-Length: 0\r\n\r\n"
        )

    def answer(self, request: Message, status: int, reason: str, body: str = "", tag: str = "callee") -> None:
        vias = "".join(f"Via: {via}\r\n" for via in request.vias)
        to = request.headers["to"] + ("" if "tag=" in request.headers["to"] else f";tag={tag}")
        content = "Content-Type: application/sdp\r\n" if body else ""
        recorded = self._recorded.get(request.headers["call-id"], "") if request.method == "INVITE" else ""
        self.send(
            f"SIP/2.0 {status} {reason}\r\n{vias}{recorded}From: {request.headers['from']}\r\nTo: {to}\r\n"
            f"Call-ID: {request.headers['call-id']}\r\nCSeq: {request.headers['cseq']}\r\n"
            f"Contact: <sip:{self.user}@{self.host}:{self.port}>\r\n{content}Content-Length: {len(body)}\r\n\r\n{body}"
        )

    async def reinvite(self, rtp_port: int, direction: str) -> Message:
        """A re-INVITE in the dialog, acknowledged; its final answer."""
        mark = len(self.inbox)
        to = f"sip:x@{self.domain}"
        self.send(self.request("INVITE", self.remote_target, sdp(self.host, rtp_port, direction=direction), to=to))
        answer = await self._final(mark, "INVITE")
        self.ack(answer, self.remote_target)
        return answer


#: Where the carriers of the two tenants are, and the numbers that they bring.
CARRIER, OTHER_CARRIER = "127.0.0.2", "127.0.0.4"
DID, OTHER_DID = "+34910000101", "+34910000102"


@dataclass
class Talker:
    """A phone with sound of one pitch."""

    sip: EdgePhone
    rtp: RtpPhone
    hertz: int

    def talk(self, answer: Message) -> None:
        """Speak to where the SDP of ``answer`` says."""
        found = re.search(r"^c=IN IP4 (\S+)", answer.body, re.M)
        assert found is not None and found.group(1) == OUTER, answer.body  # through rtpengine, never to a node
        self.rtp.call(OUTER, answer.rtp_port)
        self.rtp.play(tone(self.hertz, 60.0))
        self.rtp.start()

    def heard_last(self, seconds: float) -> bytes:
        """What it heard in the last seconds, as PCM16."""
        return self.rtp.heard()[-int(16000 * seconds) :]


@dataclass
class EdgeWorld:
    """Everything, running."""

    home: Path
    nodes: list[Platform]
    client: DemoClient
    sip_port: int
    tls_port: int
    inner_port: int
    environment: dict[str, str]
    #: The database as its superuser sees it.
    dsn: str
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    _edge: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _talkers: list[RtpPhone] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """What ``sivo edge render`` wrote."""
        return self.home / "edge"

    @property
    def proxy(self) -> str:
        """``host:port`` that a phone is given."""
        return f"{OUTER}:{self.sip_port}"

    def sivo(self, node: int, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The command line beside a node."""
        environment = dict(self.nodes[node].environment()) | self.environment
        return subprocess.run(
            [sys.executable, "-m", "sivo.cli.main", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    async def render(self, *more: str) -> subprocess.CompletedProcess[str]:
        """`sivo edge render` into the folder."""
        return await asyncio.to_thread(self.sivo, 0, "edge", "render", "--out", str(self.folder), *more)

    async def open_edge(self) -> None:
        """Start rtpengine, then Kamailio, on what was rendered."""
        for name in ("rtpengine", "kamailio"):
            assert shutil.which(name), f"{name} is missing: run scripts/edge-tools"
        await self._open_relay()
        await self._open_proxy()

    @asynccontextmanager
    async def without_relay(self) -> AsyncIterator[None]:
        """rtpengine is killed, and started again afterwards."""
        relay = self._edge.pop(0)
        relay.kill()
        await asyncio.to_thread(relay.wait, 15)
        yield
        await self._open_relay()
        self._edge.insert(0, self._edge.pop())

    async def _open_relay(self) -> None:
        self._start("rtpengine", f"--config-file={self.folder / 'rtpengine.conf'}", "--config-section=rtpengine",
                    "--foreground", "--log-stderr", "--no-log-timestamps", "--num-threads=2")  # fmt: skip
        await asyncio.sleep(1.0)

    async def restart_proxy(self) -> None:
        """Kamailio ends as an operator ends it, and comes back; rtpengine goes on."""
        proxy = self._edge.pop()
        proxy.terminate()
        await asyncio.to_thread(proxy.wait, 15)
        await self._open_proxy()

    async def _open_proxy(self) -> None:
        self._start("kamailio", "-DD", "-E", "-f", str(self.folder / "kamailio.cfg"), "-Y", str(self.folder / "state"))
        deadline = time.monotonic() + 90
        while not all(state.startswith("A") for state in await self.states()):
            assert self._edge[-1].poll() is None and time.monotonic() < deadline, self.edge_log()
            await asyncio.sleep(0.3)

    def edge_log(self) -> str:
        """The end of Kamailio's log."""
        return (self.home / "kamailio.log").read_text(errors="replace")[-3000:]

    async def states(self) -> list[str]:
        """Flags of the nodes as the dispatcher sees them: ``AP``, ``AX`` active, ``IP`` not; by their ports."""
        asked = ["kamcmd", "-s", f"unix:{self.folder / 'state' / 'ctl'}", "dispatcher.list"]
        done = await asyncio.to_thread(subprocess.run, asked, capture_output=True, text=True, check=False)
        found = re.findall(r"URI: sip:127\.0\.0\.1:(\d+).*?FLAGS: (\w+)", done.stdout, re.S)
        by_port = dict(found)
        return [by_port.get(str(node.ports.sip), "") for node in self.nodes]

    def _start(self, *arguments: str) -> None:
        with (self.home / f"{arguments[0]}.log").open("wb") as log:
            self._edge.append(subprocess.Popen(arguments, stdout=log, stderr=log, start_new_session=True))

    async def stop_edge(self) -> None:
        """Kamailio first."""
        while self._edge:
            process = self._edge.pop()
            process.terminate()
            try:
                await asyncio.to_thread(process.wait, 15)
            except subprocess.TimeoutExpired:
                process.kill()
                await asyncio.to_thread(process.wait)

    # --- phones ---

    async def phone(self, user: str, domain: str, password: str = "", host: str = "127.0.0.1") -> EdgePhone:
        """A phone that knows the edge only."""
        made = await EdgePhone.open(user, domain, password, (OUTER, self.sip_port), host)
        assert isinstance(made, EdgePhone)
        self._stack.callback(made.close)
        return made

    async def talker(self, sip: EdgePhone, hertz: int) -> Talker:
        """A phone with sound."""
        rtp = await RtpPhone.open(sip.host)
        self._stack.push_async_callback(rtp.close)
        sip.rtp_port = rtp.port
        self._talkers.append(rtp)
        return Talker(sip, rtp, hertz)

    def hush(self) -> None:
        """No phone sends any more: a port of rtpengine is soon another call's."""
        while self._talkers:
            self._talkers.pop().stop()

    async def company(self, slug: str, numbers: tuple[str, ...], did: str, carrier: str) -> Company:
        """A tenant with extensions, and a DID to the last of them."""
        tenant = await self.client.call("POST", "/api/tenants", {"slug": slug, "name": slug.title(), "plan": "pro"})
        made = Company(self, str(tenant["id"]), slug, "", did)  # type: ignore[arg-type]  # a node's client and proxy
        made.domain = str((await made.api("GET", "/api/config"))["tenant.sip_domain"])
        for number in numbers:
            one = await made.make("extensions", {"number": number})
            made.ids[number], made.passwords[number] = str(one["id"]), str(one["sip_password"])
        trunk = await made.make("trunks", {"name": "carrier", "cidrs": [f"{carrier}/32"]})
        target = {"kind": "extension", "id": made.ids[numbers[-1]]}
        await made.make("dids", {"number": did, "trunk": str(trunk["id"]), "target": target})
        return made

    async def ladder(self, call_id: str) -> str:
        """Every SIP message of a call as it is kept, one after the other."""
        connection = await asyncpg.connect(self.dsn)
        try:
            rows = await connection.fetch("select raw from sip_message where call_id = $1 order by at", UUID(call_id))
        finally:
            await connection.close()
        return "\n\n".join(str(row["raw"]) for row in rows)


async def callee_of(made: EdgeWorld, company: Company, number: str, hertz: int) -> Talker:
    """A registered phone that answers at once."""
    phone = await made.phone(number, company.domain, company.passwords[number])
    assert (await phone.register()).status == 200
    talker = await made.talker(phone, hertz)
    phone.auto_answer = 200
    return talker


async def sign_off(callee: Talker) -> None:
    """It takes its registration back, so that the next call rings another phone; its call goes on."""
    dialog, callee.sip.to_tag, callee.sip.auto_answer = callee.sip.to_tag, "", None
    assert (await callee.sip.register(expires=0)).status == 200
    callee.sip.to_tag = dialog


def _ports(sip: int) -> Ports:
    return Ports(http=free_port(), sip=sip, speech=free_port(), receiver=free_port())


@asynccontextmanager
async def edge_world() -> AsyncIterator[EdgeWorld]:
    """Two nodes that share PostgreSQL and the key-encryption key; the edge is neither rendered nor started yet."""
    home = Path(tempfile.mkdtemp(prefix="sivo-edge-"))
    sip_port, tls_port, inner_port = (free_port(socket.SOCK_DGRAM, OUTER) for _ in range(3))
    server = EmbeddedPostgres(Settings(home=home / "pg"), options=_FAST)
    nodes: list[Platform] = []
    async with AsyncExitStack() as stack:
        stack.push_async_callback(asyncio.to_thread, shutil.rmtree, home, ignore_errors=True)
        (home / "pg" / "run").mkdir(mode=0o700, parents=True)
        FileKek.load(home / "kek")
        dsn = await server.start()
        stack.push_async_callback(server.stop)
        for index, rtp in enumerate((33300, 33500)):
            own = {
                "SIVO_DSN": dsn,
                "SIVO_KEK": f"file:{home / 'kek'}",
                "SIVO_SIP_EDGES": f"{INNER}:{inner_port}",
                "SIVO_SIP_TLS_PORT": "0",
                "SIVO_MEDIA_PROCESSES": "1",
                "SIVO_OPERATOR_PORT": "0",
                "SIVO_RTP_PORT_MIN": str(rtp),
                "SIVO_RTP_PORT_MAX": str(rtp + 199),
            }
            node = Platform(home / f"node{index}", _ports(free_port(socket.SOCK_DGRAM)), (), own)
            stack.push_async_callback(node.stop)
            nodes.append(node)
            try:
                await node.start(patience=90.0)
            except RuntimeError as error:
                raise AssertionError(f"{error}\n{node.log_path.read_text()[-3000:]}") from error
        client = await stack.enter_async_context(DemoClient(nodes[0].home / "run" / "api.sock"))
        environment = {
            "SIVO_EDGE_OUTER": OUTER,
            "SIVO_EDGE_INNER": INNER,
            "SIVO_EDGE_NODES": ",".join(f"127.0.0.1:{node.ports.sip}" for node in nodes),
            "SIVO_EDGE_SIP_PORT": str(sip_port),
            "SIVO_EDGE_TLS_PORT": str(tls_port),
            "SIVO_EDGE_WSS_PORT": str(free_port(host=OUTER)),
            "SIVO_EDGE_INNER_PORT": str(inner_port),
            "SIVO_EDGE_NG_PORT": str(free_port(socket.SOCK_DGRAM)),
            # Below the ports that the system gives away: rtpengine takes one that somebody else has (SO_REUSEADDR).
            "SIVO_EDGE_RTP_PORT_MIN": "23700",
            "SIVO_EDGE_RTP_PORT_MAX": "23899",
            "SIVO_EDGE_PROCESSES": "2",
            "PATH": os.environ["PATH"],
        }
        world = EdgeWorld(home, nodes, client, sip_port, tls_port, inner_port, environment, server.dsn("postgres"))
        stack.push_async_callback(world.stop_edge)
        await stack.enter_async_context(world._stack)
        yield world
