"""A phone on a UDP socket that answers digest challenges as it is told, wrongly too. Made for probing only."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from typing import cast

from sivo.sip.digest import Challenge, digest_response, ha1

#: RFC 3261 §17.1.1.1: T1, and how long a final answer is waited for here.
T1_S = 0.5
WAIT_S = 4.0


@dataclass(frozen=True, slots=True)
class Account:
    """User part, domain and password of an extension."""

    user: str
    domain: str
    password: str


@dataclass(frozen=True, slots=True)
class SipAnswer:
    """Status of the final answer (0: none came) and its challenge."""

    status: int
    challenge: Challenge | None = None


class SipPhone(asyncio.DatagramProtocol):
    """One socket. To be closed."""

    def __init__(self, server: tuple[str, int]) -> None:
        self._server = server
        self._answers: asyncio.Queue[str] = asyncio.Queue()
        self._transport: asyncio.DatagramTransport | None = None
        self._host, self._port = "", 0

    @classmethod
    async def open(cls, server: tuple[str, int], host: str | None) -> SipPhone:
        """Bind to ``host`` (None: whatever address reaches the server)."""
        loop = asyncio.get_running_loop()
        local = (host, 0) if host else None
        _, phone = await loop.create_datagram_endpoint(lambda: cls(server), local_addr=local, remote_addr=server)
        return phone

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)  # uvloop's is one in all but its class
        self._host, self._port = transport.get_extra_info("sockname")[:2]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._answers.put_nowait(data.decode("utf-8", "replace"))

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there: the wait for an answer ends by itself."""

    def close(self) -> None:
        """Leave."""
        if self._transport is not None:
            self._transport.close()

    async def ask(
        self,
        method: str,
        account: Account,
        uri: str,
        *,
        challenge: Challenge | None = None,
        realm: str = "",
        expires: int = 60,
    ) -> SipAnswer:
        """One request in a transaction of its own; with ``challenge`` it carries credentials (for ``realm``)."""
        branch, call_id = f"z9hG4bK{secrets.token_hex(8)}", secrets.token_hex(8)
        extra = self._authorization(method, account, uri, challenge, realm) if challenge else ""
        to = f"sip:{account.user}@{account.domain}" if method == "REGISTER" else uri
        text = (
            f"{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {self._host}:{self._port};branch={branch};rport\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:{account.user}@{account.domain}>;tag={secrets.token_hex(4)}\r\n"
            f"To: <{to}>\r\nCall-ID: {call_id}\r\nCSeq: 1 {method}\r\n"
            f"Contact: <sip:{account.user}@{self._host}:{self._port}>\r\nExpires: {expires}\r\n{extra}"
            "Content-Length: 0\r\n\r\n"
        )
        return await self._final(text, branch)

    def _authorization(self, method: str, account: Account, uri: str, challenge: Challenge, realm: str) -> str:
        named, cnonce, nc = realm or challenge.realm, secrets.token_hex(8), "00000001"
        key = ha1(account.user, named, account.password, challenge.algorithm)
        value = digest_response(key, method, uri, challenge.nonce, nc, cnonce, challenge.algorithm)
        return (
            f'Authorization: Digest username="{account.user}", realm="{named}", nonce="{challenge.nonce}", '
            f'uri="{uri}", response="{value}", algorithm={challenge.algorithm}, cnonce="{cnonce}", nc={nc}, '
            "qop=auth\r\n"
        )

    async def _final(self, text: str, branch: str) -> SipAnswer:
        """Retransmit until a final answer of this transaction comes; ACK it if it answers an INVITE."""
        assert self._transport is not None
        deadline = asyncio.get_running_loop().time() + WAIT_S
        while asyncio.get_running_loop().time() < deadline:
            self._transport.sendto(text.encode())
            try:
                async with asyncio.timeout(T1_S):
                    while True:
                        got = await self._answers.get()
                        status = int(got.split()[1]) if got.startswith("SIP/2.0 ") else 0
                        if branch in got and status > 100:
                            self._acknowledge(text, got)
                            return SipAnswer(status, _challenge(got))
            except TimeoutError:
                continue
        return SipAnswer(0)

    def _acknowledge(self, request: str, answer: str) -> None:
        """RFC 3261 §17.1.1.3."""
        if not request.startswith("INVITE ") or self._transport is None:
            return
        to = next((line for line in answer.split("\r\n") if line.lower().startswith("to:")), "")
        head = [line for line in request.split("\r\n") if line.startswith(("Via", "Max", "From", "Call-ID"))]
        uri = request.split()[1]
        lines = [f"ACK {uri} SIP/2.0", *head, to, "CSeq: 1 ACK", "Content-Length: 0", "", ""]
        self._transport.sendto("\r\n".join(lines).encode())


def _challenge(text: str) -> Challenge | None:
    for line in text.split("\r\n"):
        name, _, value = line.partition(":")
        if name.strip().lower() in ("www-authenticate", "proxy-authenticate"):
            return Challenge.parse(value.strip())
    return None
