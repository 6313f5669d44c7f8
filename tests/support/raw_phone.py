"""A SIP phone made of a socket and string handling: it shares no code with the product, and does as it is told."""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
from contextlib import suppress
from dataclasses import dataclass, field


@dataclass
class Message:
    """One message as it came: first line, headers (first of each name), body."""

    first_line: str
    headers: dict[str, str]
    body: str
    at: float
    vias: list[str] = field(default_factory=list)

    @property
    def status(self) -> int:
        """Status of a response, 0 for a request."""
        return int(self.first_line.split()[1]) if self.first_line.startswith("SIP/2.0") else 0

    @property
    def method(self) -> str:
        """Method of a request, or of the request that a response answers."""
        return self.headers["cseq"].split()[1] if self.status else self.first_line.split()[0]

    @property
    def rtp_port(self) -> int:
        """Port of the audio line in the SDP."""
        found = re.search(r"^m=audio (\d+)", self.body, re.M)
        assert found, self.body
        return int(found.group(1))


def parse(data: bytes, at: float) -> Message:
    """Cut a datagram into its parts."""
    head, _, body = data.decode().partition("\r\n\r\n")
    lines = head.split("\r\n")
    headers: dict[str, str] = {}
    vias = []
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers.setdefault(name.strip().lower(), value.strip())
        if name.strip().lower() == "via":
            vias.append(value.strip())
    return Message(lines[0], headers, body, at, vias)


def sdp(host: str, port: int, codecs: str = "0 8 101", direction: str = "sendrecv") -> str:
    """A session description with one audio line."""
    return (
        f"v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio {port} RTP/AVP {codecs}\r\n"
        f"a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na={direction}\r\n"
    )


class RawPhone(asyncio.DatagramProtocol):
    """``user`` of ``domain`` behind its own socket; ``server`` is where everything is sent."""

    def __init__(self, user: str, domain: str, password: str, server: tuple[str, int]) -> None:
        self.user, self.domain, self.password, self.server = user, domain, password, server
        self.inbox: list[Message] = []
        #: Digest user name where it is not the user of the address of record (a softphone's own account).
        self.account = ""
        self.call_id = secrets.token_hex(8)
        self.from_tag = secrets.token_hex(4)
        self.to_tag = ""
        self.remote_target = ""
        self.cseq = 0
        self.auto_answer: int | None = None
        self.rtp_port = 0
        self._arrived = asyncio.Event()
        self._invite: str = ""

    @classmethod
    async def open(
        cls, user: str, domain: str, password: str, server: tuple[str, int], host: str = "127.0.0.1"
    ) -> RawPhone:
        """Bind to a free port of ``host``."""
        loop = asyncio.get_running_loop()
        _, phone = await loop.create_datagram_endpoint(
            lambda: cls(user, domain, password, server), local_addr=(host, 0)
        )
        return phone

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.host, self.port = transport.get_extra_info("sockname")[:2]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if data[:1] >= b"\x80":
            return  # RTP or RTCP to a port that was another phone's a moment ago
        message = parse(data, asyncio.get_running_loop().time())
        self.inbox.append(message)
        self._arrived.set()
        if not message.status:
            self._as_callee(message)

    def close(self) -> None:
        """Leave."""
        self.transport.close()

    def send(self, text: str) -> None:
        """Send as it is."""
        self.transport.sendto(text.encode(), self.server)

    async def wait(self, what: object, timeout: float = 5.0, after: int = 0) -> Message:
        """The first message from inbox position ``after`` that fits: a status, ``(status, method)`` or a method."""
        async with asyncio.timeout(timeout):
            while True:
                for message in self.inbox[after:]:
                    fits = {message.status, (message.status, message.method)} if message.status else {message.method}
                    if what in fits:
                        return message
                self._arrived.clear()
                await self._arrived.wait()

    def _via(self) -> str:
        return f"SIP/2.0/UDP {self.host}:{self.port};branch=z9hG4bK{secrets.token_hex(8)}"

    def request(self, method: str, uri: str, body: str = "", extra: str = "", to: str = "", cseq: int = 0) -> str:
        """Text of a request; in a dialog when there is a To tag."""
        if not cseq:
            self.cseq += 1
            cseq = self.cseq
        to_tag = f";tag={self.to_tag}" if self.to_tag else ""
        content = "Content-Type: application/sdp\r\n" if body else ""
        return (
            f"{method} {uri} SIP/2.0\r\nVia: {self._via()};rport\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:{self.user}@{self.domain}>;tag={self.from_tag}\r\n"
            f"To: <{to or uri}>{to_tag}\r\nCall-ID: {self.call_id}\r\nCSeq: {cseq} {method}\r\n"
            f"Contact: <sip:{self.user}@{self.host}:{self.port}>\r\n{extra}{content}"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        )

    def authorization(self, challenge: Message, method: str, uri: str, user: str = "", password: str = "") -> str:
        """An Authorization header (MD5, qop=auth) for the MD5 challenge among those given."""
        offered = [value for name, value in challenge.headers.items() if name == "www-authenticate"]
        text = offered[0]
        realm = re.search(r'realm="([^"]*)"', text).group(1)  # type: ignore[union-attr]
        nonce = re.search(r'nonce="([^"]*)"', text).group(1)  # type: ignore[union-attr]
        algorithm = (re.search(r"algorithm=([\w-]+)", text) or [None, "MD5"])[1]
        digest = hashlib.sha256 if algorithm == "SHA-256" else hashlib.md5
        user, password = user or self.account or self.user, password or self.password

        def h(value: str) -> str:
            return digest(value.encode()).hexdigest()

        cnonce = secrets.token_hex(8)
        response = h(f"{h(f'{user}:{realm}:{password}')}:{nonce}:00000001:{cnonce}:auth:{h(f'{method}:{uri}')}")
        return (
            f'Authorization: Digest username="{user}", realm="{realm}", nonce="{nonce}", uri="{uri}", '
            f'response="{response}", algorithm={algorithm}, cnonce="{cnonce}", nc=00000001, qop=auth\r\n'
        )

    async def register(self, expires: int = 300) -> Message:
        """REGISTER, answer the challenge, and give the final answer."""
        uri = f"sip:{self.domain}"
        aor = f"sip:{self.user}@{self.domain}"
        call_id, self.call_id = self.call_id, secrets.token_hex(8)
        extra = f"Expires: {expires}\r\n"
        mark = len(self.inbox)
        self.send(self.request("REGISTER", uri, to=aor, extra=extra))
        challenge = await self.wait(401, after=mark)
        mark = len(self.inbox)
        self.send(self.request("REGISTER", uri, to=aor, extra=extra + self.authorization(challenge, "REGISTER", uri)))
        answer = await self._final(mark, "REGISTER")
        self.call_id = call_id
        return answer

    async def invite(
        self, number: str, rtp_port: int, *, auth: bool = True, body: str | None = None, insist: bool = False
    ) -> Message:
        """INVITE, answer the challenge, ACK what is final, and give it.

        ``insist``: sent again until something is heard of it, as RFC 3261 §17.1.1.2 has it, and waited for 32 s.
        """
        uri = f"sip:{number}@{self.domain}"
        text = sdp(self.host, rtp_port) if body is None else body
        mark = len(self.inbox)
        if auth:
            self._invite = self.request("INVITE", uri, text)
            self.send(self._invite)
            challenge = await self.wait(401, after=mark)
            self.ack(challenge, uri)
            mark = len(self.inbox)
            self._invite = self.request("INVITE", uri, text, self.authorization(challenge, "INVITE", uri))
        else:
            self._invite = self.request("INVITE", uri, text)
        self.send(self._invite)
        if insist:
            await self._insist(mark, "INVITE", self._invite)
        answer = await self._final(mark, "INVITE", 32 if insist else 10)
        if answer.status == 200:
            self.to_tag = re.search(r"tag=([^;>]+)", answer.headers["to"]).group(1)  # type: ignore[union-attr]
            self.remote_target = re.search(r"<([^>]+)>", answer.headers["contact"]).group(1)  # type: ignore[union-attr]
            self.ack(answer, self.remote_target)
        else:
            self.ack(answer, uri)
        return answer

    def ack(self, answer: Message, uri: str) -> None:
        """ACK of a final answer: of a 2xx in a new transaction, of others in the same one."""
        via = answer.vias[0] if answer.status >= 300 else self._via()
        cseq = answer.headers["cseq"].split()[0]
        self.send(
            f"ACK {uri} SIP/2.0\r\nVia: {via}\r\nMax-Forwards: 70\r\nFrom: {answer.headers['from']}\r\n"
            f"To: {answer.headers['to']}\r\nCall-ID: {self.call_id}\r\nCSeq: {cseq} ACK\r\nContent-Length: 0\r\n\r\n"
        )

    def cancel(self) -> None:
        """CANCEL of the last INVITE."""
        head = self._invite.split("\r\n")
        via = next(line for line in head if line.startswith("Via"))
        uri = head[0].split()[1]
        cseq = next(line for line in head if line.startswith("CSeq")).split()[1]
        self.send(
            f"CANCEL {uri} SIP/2.0\r\n{via}\r\nMax-Forwards: 70\r\n"
            f"From: <sip:{self.user}@{self.domain}>;tag={self.from_tag}\r\nTo: <{uri}>\r\n"
            f"Call-ID: {self.call_id}\r\nCSeq: {cseq} CANCEL\r\nContent-Length: 0\r\n\r\n"
        )

    async def bye(self, *, insist: bool = False) -> Message:
        """BYE and its answer; ``insist`` as with :meth:`invite`."""
        mark = len(self.inbox)
        request = self.request("BYE", self.remote_target, to=f"sip:x@{self.domain}")
        self.send(request)
        if insist:
            await self._insist(mark, "BYE", request)
        return await self._final(mark, "BYE", 32 if insist else 10)

    async def _insist(self, mark: int, method: str, request: str) -> None:
        """Timers A and E, until something is heard."""
        for pause in (0.5, 1, 2, 4, 4, 4):
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    while not any(one.status >= 100 and one.method == method for one in self.inbox[mark:]):
                        self._arrived.clear()
                        await self._arrived.wait()
                    return
            self.send(request)

    async def _final(self, mark: int, method: str, timeout: float = 10) -> Message:
        async with asyncio.timeout(timeout):
            while True:
                for message in self.inbox[mark:]:
                    if message.status >= 200 and message.method == method:
                        return message
                self._arrived.clear()
                await self._arrived.wait()

    def answer(self, request: Message, status: int, reason: str, body: str = "", tag: str = "callee") -> None:
        """Answer a request that came in."""
        vias = "".join(f"Via: {via}\r\n" for via in request.vias)
        to = request.headers["to"] + ("" if "tag=" in request.headers["to"] else f";tag={tag}")
        content = "Content-Type: application/sdp\r\n" if body else ""
        self.send(
            f"SIP/2.0 {status} {reason}\r\n{vias}From: {request.headers['from']}\r\nTo: {to}\r\n"
            f"Call-ID: {request.headers['call-id']}\r\nCSeq: {request.headers['cseq']}\r\n"
            f"Contact: <sip:{self.user}@{self.host}:{self.port}>\r\n{content}Content-Length: {len(body)}\r\n\r\n{body}"
        )

    def _as_callee(self, request: Message) -> None:
        if request.method == "BYE":
            self.answer(request, 200, "OK")
        elif request.method == "CANCEL":
            self.answer(request, 200, "OK")
            invite = next(m for m in self.inbox if m.method == "INVITE" and not m.status)
            self.answer(invite, 487, "Request Terminated")
        elif request.method == "INVITE" and self.auto_answer is not None:
            if self.auto_answer == 200:
                self.answer(request, 180, "Ringing")
                self.call_id = request.headers["call-id"]
                self.answer(request, 200, "OK", sdp(self.host, self.rtp_port))
            elif self.auto_answer > 200:
                self.answer(request, self.auto_answer, "No")
            else:
                self.answer(request, 180, "Ringing")
