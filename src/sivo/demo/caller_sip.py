"""A minimal SIP user agent client (RFC 3261, RFC 3264, RFC 7616) for the demo's caller. Shares nothing with ``sip``."""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

#: RFC 3261 §17.1.1.1: estimate of a round trip; requests are repeated after T1, doubling.
_T1 = 0.5
_PATIENCE = 32.0


class CallFailed(Exception):  # noqa: N818 - what happened, in the words of the report
    """The call could not be made or ended wrongly; the text goes into the report."""


@dataclass
class Message:
    """One SIP message: ``start`` line, headers in order with lower-case names, body."""

    start: str
    headers: list[tuple[str, str]]
    body: str = ""

    @classmethod
    def parse(cls, data: bytes) -> Message:
        head, _, body = data.decode("utf-8", "replace").partition("\r\n\r\n")
        start, *lines = head.split("\r\n")
        pairs = [line.partition(":") for line in lines if ":" in line]
        names = {"v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact", "l": "content-length"}
        headers = [(names.get(name.strip().lower(), name.strip().lower()), value.strip()) for name, _, value in pairs]
        return cls(start, headers, body)

    def all(self, name: str) -> list[str]:
        """Every value of header ``name`` in order."""
        return [value for key, value in self.headers if key == name]

    def get(self, name: str) -> str:
        """The first value of header ``name``, or an empty text."""
        return next(iter(self.all(name)), "")

    @property
    def status(self) -> int:
        """Status code of a response, 0 for a request."""
        return int(self.start.split()[1]) if self.start.startswith("SIP/2.0 ") else 0

    @property
    def method(self) -> str:
        """Method of a request, or the method that a response belongs to."""
        return self.get("cseq").split()[-1] if self.status else self.start.split()[0]

    def encode(self) -> bytes:
        """The message on the wire, with its Content-Length."""
        lines = [self.start, *(f"{name}: {value}" for name, value in self.headers)]
        body = self.body.encode()
        return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


@dataclass
class Account:
    """Credentials for digest."""

    user: str = ""
    password: str = ""
    domain: str = ""


@dataclass
class Dialog:
    """What has to be remembered of the call (RFC 3261 §12)."""

    call_id: str
    from_value: str
    to_value: str
    target: str
    routes: list[str] = field(default_factory=list)
    cseq: int = 1


class SipCaller(asyncio.DatagramProtocol):
    """One UDP socket, one call."""

    def __init__(self, server: tuple[str, int], account: Account) -> None:
        self.server = server
        self.account = account
        self.log: list[tuple[float, str, str]] = []
        self.dialog: Dialog | None = None
        self.ended_by: str | None = None
        self.ended_at: float | None = None
        self.end_reason = ""
        self.ended = asyncio.Event()
        self._transport: asyncio.DatagramTransport | None = None
        self._responses: asyncio.Queue[Message] = asyncio.Queue()
        self._ack: bytes | None = None
        self._sdp = ""

    @classmethod
    async def open(cls, host: str, port: int, server: tuple[str, int], account: Account) -> SipCaller:
        """Bind ``host``:``port`` (0 = any free port)."""
        _, peer = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: cls(server, account), local_addr=(host, port)
        )
        return peer

    @property
    def local(self) -> tuple[str, int]:
        """Our address."""
        assert self._transport is not None
        host, port = self._transport.get_extra_info("sockname")[:2]
        return str(host), int(port)

    # --- socket ---------------------------------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if not data.strip():
            return
        message = Message.parse(data)
        self.log.append((time.monotonic(), "in", message.start))
        if not message.status:
            self._serve(message, addr)
        elif message.method == "INVITE" and message.status >= 200 and self._ack is not None:
            self._send(self._ack, "ACK again")  # the 200 was repeated: our ACK was lost (RFC 3261 §13.2.2.4)
        else:
            self._responses.put_nowait(message)

    def close(self) -> None:
        """Free the socket."""
        if self._transport is not None:
            self._transport.close()

    def _send(self, data: bytes, start: str = "") -> None:
        assert self._transport is not None
        self.log.append((time.monotonic(), "out", start or data.split(b"\r\n", 1)[0].decode()))
        self._transport.sendto(data, self.server)

    def _serve(self, request: Message, source: tuple[str, int]) -> None:
        if request.method == "ACK":
            return
        status = "200 OK"
        if request.method == "BYE":
            self._end("agent", request.get("reason"))
        elif request.method not in ("INVITE", "OPTIONS", "UPDATE", "INFO"):
            status = "405 Method Not Allowed"
        headers = [("Via", via) for via in request.all("via")]
        headers += [(name, request.get(name.lower())) for name in ("From", "To", "Call-ID", "CSeq")]
        body = ""
        if request.method == "INVITE":
            headers += [("Contact", self._contact()), ("Content-Type", "application/sdp")]
            body = self._sdp
        answer = Message(f"SIP/2.0 {status}", headers, body)
        assert self._transport is not None
        self.log.append((time.monotonic(), "out", answer.start))
        self._transport.sendto(answer.encode(), source)

    def _end(self, by: str, reason: str = "") -> None:
        if self.ended_by is None:
            self.ended_by, self.ended_at, self.end_reason = by, time.monotonic(), reason
            self.ended.set()

    # --- requests -------------------------------------------------------------------------------------------------

    async def register(self) -> None:
        """REGISTER with digest at the account's domain."""
        domain = self.account.domain
        address = f"<sip:{self.account.user}@{domain}>"
        headers = [
            ("From", f"{address};tag={secrets.token_hex(6)}"),
            ("To", address),
            ("Call-ID", secrets.token_hex(12)),
            ("Contact", self._contact()),
            ("Expires", "300"),
        ]
        answer = await self._ask("REGISTER", f"sip:{domain}", headers, "", 1)
        if answer.status != 200:
            raise CallFailed(f"REGISTER was answered with {answer.start}")

    async def invite(self, number: str, sdp: str) -> Message:
        """Ring ``number``; the 200 with its SDP, already acknowledged. Raises :class:`CallFailed`."""
        self._sdp = sdp
        domain = self.account.domain or f"{self.server[0]}:{self.server[1]}"
        caller = f"sip:{self.account.user}@{domain}" if self.account.user else f"sip:+34910000001@{self.local[0]}"
        headers = [
            ("From", f"<{caller}>;tag={secrets.token_hex(6)}"),
            ("To", f"<sip:{number}@{domain}>"),
            ("Call-ID", secrets.token_hex(12)),
            ("Contact", self._contact()),
            ("Allow", "INVITE, ACK, BYE, CANCEL, OPTIONS"),
            ("Content-Type", "application/sdp"),
        ]
        answer = await self._ask("INVITE", f"sip:{number}@{domain}", headers, sdp, 1)
        if answer.status != 200:
            raise CallFailed(f"INVITE was answered with {answer.start}")
        return answer

    async def bye(self) -> None:
        """End the call from our side."""
        if self.dialog is None or self.ended_by is not None:
            return
        self._end("caller")
        dialog = self.dialog
        dialog.cseq += 1
        await self._ask("BYE", dialog.target, self._in_dialog(dialog), "", dialog.cseq)

    async def _ask(self, method: str, uri: str, headers: list[tuple[str, str]], body: str, cseq: int) -> Message:
        answer = await self._transact(method, uri, headers, body, cseq)
        if answer.status in (401, 407) and self.account.user:
            name = "www-authenticate" if answer.status == 401 else "proxy-authenticate"
            credentials = self._digest(method, uri, _strongest(answer.all(name)))
            headers = [*headers, ("Authorization" if answer.status == 401 else "Proxy-Authorization", credentials)]
            answer = await self._transact(method, uri, headers, body, cseq + 1)
        return answer

    async def _transact(self, method: str, uri: str, headers: list[tuple[str, str]], body: str, cseq: int) -> Message:
        branch = "z9hG4bK" + secrets.token_hex(8)
        host, port = self.local
        fixed = [("Via", f"SIP/2.0/UDP {host}:{port};branch={branch};rport"), ("Max-Forwards", "70")]
        data = Message(f"{method} {uri} SIP/2.0", [*fixed, *headers, ("CSeq", f"{cseq} {method}")], body).encode()
        wait, deadline, provisional = _T1, time.monotonic() + _PATIENCE, False
        self._send(data)
        while (left := deadline - time.monotonic()) > 0:
            try:
                answer = await asyncio.wait_for(self._responses.get(), min(wait, left))
            except TimeoutError:
                if not (provisional and method == "INVITE"):
                    self._send(data, f"{method} again")
                wait = min(2 * wait, 4.0)
                continue
            if f"branch={branch}" not in answer.get("via"):
                continue
            if answer.status >= 200:
                if method == "INVITE":
                    self._acknowledge(uri, headers, cseq, branch, answer)
                return answer
            provisional = True
        raise CallFailed(f"no final answer to {method} within {_PATIENCE:.0f} s")

    def _acknowledge(self, uri: str, headers: list[tuple[str, str]], cseq: int, branch: str, answer: Message) -> None:
        host, port = self.local
        from_value, call_id = dict(headers)["From"], dict(headers)["Call-ID"]
        if answer.status < 300:
            contact = re.search(r"sip:[^>;\s]+(?:;[^>\s]*)?", answer.get("contact"))
            self.dialog = Dialog(
                call_id=call_id,
                from_value=from_value,
                to_value=answer.get("to"),
                target=contact[0] if contact else uri,
                routes=list(reversed(answer.all("record-route"))),
                cseq=cseq,
            )
            uri, branch = self.dialog.target, "z9hG4bK" + secrets.token_hex(8)
            extra = self._in_dialog(self.dialog)
        else:
            extra = [("From", from_value), ("To", answer.get("to")), ("Call-ID", call_id)]
        fixed = [("Via", f"SIP/2.0/UDP {host}:{port};branch={branch};rport"), ("Max-Forwards", "70")]
        ack = Message(f"ACK {uri} SIP/2.0", [*fixed, *extra, ("CSeq", f"{cseq} ACK")]).encode()
        self._ack = ack if answer.status < 300 else None
        self._send(ack)

    def _in_dialog(self, dialog: Dialog) -> list[tuple[str, str]]:
        routes = [("Route", route) for route in dialog.routes]
        return [*routes, ("From", dialog.from_value), ("To", dialog.to_value), ("Call-ID", dialog.call_id)]

    def _contact(self) -> str:
        host, port = self.local
        return f"<sip:{self.account.user or 'caller'}@{host}:{port}>"

    def _digest(self, method: str, uri: str, challenge: dict[str, str]) -> str:
        algorithm = challenge.get("algorithm", "MD5")
        digest = hashlib.sha256 if algorithm.upper().startswith("SHA-256") else hashlib.md5

        def hashed(*parts: str) -> str:
            return digest(":".join(parts).encode()).hexdigest()

        realm, nonce = challenge.get("realm", ""), challenge.get("nonce", "")
        cnonce, count = secrets.token_hex(8), "00000001"
        ha1, ha2 = hashed(self.account.user, realm, self.account.password), hashed(method, uri)
        fields = {"username": self.account.user, "realm": realm, "nonce": nonce, "uri": uri}
        if "qop" in challenge:
            fields["response"] = hashed(ha1, nonce, count, cnonce, "auth", ha2)
            tail = f', qop=auth, nc={count}, cnonce="{cnonce}"'
        else:
            fields["response"] = hashed(ha1, nonce, ha2)
            tail = ""
        if "opaque" in challenge:
            fields["opaque"] = challenge["opaque"]
        quoted = ", ".join(f'{name}="{value}"' for name, value in fields.items())
        return f"Digest {quoted}, algorithm={algorithm}{tail}"


def _strongest(challenges: list[str]) -> dict[str, str]:
    """The parameters of the challenge with SHA-256, else of the first one."""
    read = [
        {name.lower(): quoted or plain for name, quoted, plain in re.findall(r'(\w+)=(?:"([^"]*)"|([^,\s]+))', text)}
        for text in challenges
    ]
    best = next((one for one in read if one.get("algorithm", "").upper() == "SHA-256"), None)
    if best is None and not read:
        raise CallFailed("the server asked for credentials without a challenge")
    return best or read[0]


def offer(host: str, port: int) -> str:
    """SDP with PCMU and telephone-event (RFC 8866, RFC 4733)."""
    number = secrets.randbelow(1 << 31)
    lines = [
        "v=0",
        f"o=caller {number} {number} IN IP4 {host}",
        "s=call",
        f"c=IN IP4 {host}",
        "t=0 0",
        f"m=audio {port} RTP/AVP 0 101",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-15",
        "a=ptime:20",
        "a=sendrecv",
    ]
    return "\r\n".join(lines) + "\r\n"


def remote_of(sdp: str) -> tuple[str, int]:
    """Where the answer wants its audio. Raises :class:`CallFailed` when it took no audio or another codec."""
    media = re.search(r"^m=audio (\d+) RTP/AVP ([\d ]+)", sdp, re.MULTILINE)
    address = re.search(r"^c=IN IP4 (\S+)", sdp, re.MULTILINE)
    if not media or not address or media[1] == "0" or "0" not in media[2].split():
        raise CallFailed("the answer's SDP takes no PCMU audio")
    return address[1], int(media[1])
