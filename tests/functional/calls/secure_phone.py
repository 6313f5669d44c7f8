"""Phones on TCP and TLS connections of their own, with audio protected by a second implementation of SRTP."""

from __future__ import annotations

import asyncio
import base64
import datetime
import ipaddress
import os
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from call_desk import Desk
from call_house import PASSWORD, House, running_house
from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sivo.base.settings import Settings
from sivo.db.scopes import Database
from support.raw_phone import Message, RawPhone, sdp
from support.rtp_phone import RtpPhone
from support.srtp_reference import Stream

CM = "AES_CM_128_HMAC_SHA1_80"
GCM = "AEAD_AES_256_GCM"
SIZES = {CM: 30, GCM: 44}


def authority(folder: Path) -> tuple[Path, Path, Path]:
    """A CA of the test's own, and a certificate of this machine by it: CA, certificate, key."""
    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.datetime.now(datetime.UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("test CA", "127.0.0.1")]

    def certificate(which: int) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(names[which])
            .issuer_name(names[0])
            .public_key(keys[which].public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=not which, path_length=None), critical=True)
        )

    alternative = x509.SubjectAlternativeName(
        [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    )
    made = [certificate(0), certificate(1).add_extension(alternative, critical=False)]
    paths = folder / "ca.pem", folder / "node.pem", folder / "node.key"
    for path, builder in zip(paths, made, strict=False):
        path.write_bytes(builder.sign(keys[0], hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    paths[2].write_bytes(
        keys[1].private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return paths


class StreamPhone(RawPhone):
    """A phone on a TCP or TLS connection of its own."""

    protocol = "TCP"

    async def connect(self, port: int, context: ssl.SSLContext | None = None) -> StreamPhone:
        self.protocol = "TLS" if context else "TCP"
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        self.host, self.port = self._writer.get_extra_info("sockname")[:2]
        self._task = asyncio.create_task(self._listen())
        return self

    async def _listen(self) -> None:
        while True:
            head = await self._reader.readuntil(b"\r\n\r\n")
            length = int(re.search(rb"Content-Length: (\d+)", head).group(1))  # type: ignore[union-attr]
            self.datagram_received(head + await self._reader.readexactly(length), ("", 0))

    def send(self, text: str) -> None:
        self._writer.write(text.encode())

    def close(self) -> None:
        self._task.cancel()
        self._writer.close()

    def _via(self) -> str:
        return super()._via().replace("/UDP", f"/{self.protocol}")


class SecureRtp(RtpPhone):
    """An RTP port whose packets are protected once :meth:`secure` was called; ``wire`` keeps what really came."""

    sealing: Stream | None = None
    opening: dict[int, Stream] | None = None
    #: Packets of the other side that were not under the keys of the moment.
    refused = 0

    def secure(self, suite: str, ours: bytes, theirs: bytes) -> None:
        """From now on under these keys."""
        self.sealing, self.opening = Stream(suite, ours), {}
        self.wire: list[bytes] = []
        self._their_suite, self._their_key = suite, theirs

    def send_packet(
        self, payload: bytes, payload_type: int | None = None, timestamp: int | None = None, marker: bool = False
    ) -> None:
        if self.sealing is None:
            super().send_packet(payload, payload_type, timestamp, marker)
            return
        transport, sealing = self._transport, self.sealing

        class Sealed:
            @staticmethod
            def sendto(data: bytes, target: tuple[str, int]) -> None:
                assert transport is not None
                transport.sendto(sealing.protect(data), target)

        self._transport = Sealed  # type: ignore[assignment]
        try:
            super().send_packet(payload, payload_type, timestamp, marker)
        finally:
            self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self.opening is not None:
            self.wire.append(data)
            stream = self.opening.setdefault(
                int.from_bytes(data[8:12], "big"), Stream(self._their_suite, self._their_key)
            )
            try:
                data = stream.unprotect(data)
            except (InvalidTag, ValueError):  # GCM's own check, and that of the tag
                self.refused += addr[:2] == self._target  # others are of a call that had this port before
                return
        super().datagram_received(data, addr)


class SecurePhone(StreamPhone):
    """Offers and takes SRTP with ``suite``; as callee it answers ``answers`` to an INVITE with RTP/SAVP."""

    suite = CM
    #: 200 with keys, ``clear`` 200 without them, or a status.
    answers: int | str = 200
    rtp: SecureRtp

    def offer(self, direction: str = "sendrecv") -> str:
        """A description with one fresh key."""
        self.key = os.urandom(SIZES[self.suite])
        return self._protected(1, self.key, direction)

    def _protected(self, tag: int, key: bytes, direction: str = "sendrecv") -> str:
        line = f"a=crypto:{tag} {self.suite} inline:{base64.b64encode(key).decode()}\r\n"
        return sdp(self.host, self.rtp_port, direction=direction).replace("RTP/AVP", "RTP/SAVP") + line

    def agree(self, answer: Message) -> None:
        """Take the other side's key for the offer of ours."""
        self.rtp.secure(self.suite, self.key, self.keys_in(answer)[self.suite][1])

    @staticmethod
    def keys_in(message: Message) -> dict[str, tuple[int, bytes]]:
        """Suite → tag and key of a description."""
        found = re.findall(r"^a=crypto:(\d+) (\S+) inline:([^|\s]+)", message.body, re.M)
        return {suite: (int(tag), base64.b64decode(key)) for tag, suite, key in found}

    def _as_callee(self, request: Message) -> None:
        if request.method != "INVITE" or self.auto_answer != 200 or "RTP/SAVP" not in request.body:
            super()._as_callee(request)
            return
        if self.answers not in (200, "clear"):
            self.answer(request, int(self.answers), "No")
            return
        self.call_id = request.headers["call-id"]
        body = sdp(self.host, self.rtp_port)
        if self.answers == 200:
            tag, theirs = self.keys_in(request)[self.suite]
            ours = os.urandom(SIZES[self.suite])
            self.rtp.secure(self.suite, ours, theirs)
            body = self._protected(tag, ours)
        self.answer(request, 200, "OK", body)


@asynccontextmanager
async def running_secure_house(
    settings: Settings, database: Database, folder: Path
) -> AsyncIterator[tuple[House, ssl.SSLContext, Path]]:
    """A call role with a certificate by a CA of the test's own, what phones trust, and that CA."""
    ca, certificate, key = authority(folder / "tls")
    shown = {"sip_tls_certificate": certificate, "sip_tls_key": key}
    async with running_house(settings.model_copy(update=shown), database, 1) as house:
        yield house, ssl.create_default_context(cafile=str(ca)), ca


async def add_protected_extension(house: House, number: str) -> None:
    """One more extension that takes and makes no call in the clear; returns when the node knows it."""
    await house.create("extension", {"number": number, "sip_password": PASSWORD, "srtp": "required"})
    directory = house.node.services.directory
    await house.settled(lambda: number in {one.number for one in directory.current.pictures[house.tenant].extensions})


async def secure_desk(
    house: House, number: str, context: ssl.SSLContext, suite: str = CM, *, register: bool = True
) -> Desk:
    """A phone on TLS; one that is not registered is a second line."""
    rtp = await SecureRtp.open("127.0.0.1")
    assert isinstance(rtp, SecureRtp)
    phone = SecurePhone(number, house.domain, PASSWORD, house.sip)
    await phone.connect(house.node.services.sip.streams.port("TLS"), context)
    phone.suite, phone.rtp, phone.rtp_port, phone.auto_answer = suite, rtp, rtp.port, 200
    house.phones.append(phone)
    if register:
        assert (await phone.register()).status == 200
    return Desk(phone, rtp, number)
