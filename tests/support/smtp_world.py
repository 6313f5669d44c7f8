"""A real SMTP server (aiosmtpd) with a certificate of its own, and mails as the standard parser sees them."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sivo.base.settings import Settings

SENDER = "contact@sivo.example"


@dataclass
class Received:
    """One accepted message: the envelope, whether the line was encrypted, and the parsed content."""

    sender: str
    recipients: list[str]
    encrypted: bool
    user: str | None
    raw: bytes

    @property
    def message(self) -> EmailMessage:
        parsed = message_from_bytes(self.raw, policy=policy.default)
        assert isinstance(parsed, EmailMessage)
        assert not parsed.defects
        return parsed

    @property
    def text(self) -> str:
        part = self.message.get_body(("plain",))
        assert part is not None
        return str(part.get_content()).replace("\r\n", "\n")

    @property
    def html(self) -> str:
        part = self.message.get_body(("html",))
        assert part is not None
        return str(part.get_content())

    @property
    def link(self) -> str:
        """The only link in the text."""
        (found,) = [line for line in self.text.splitlines() if line.startswith("https://")]
        return found

    @property
    def token(self) -> str:
        return urlsplit(self.link).fragment.removeprefix("token=")


@dataclass
class Mailbox:
    """Takes messages; ``reply`` may refuse a recipient, ``delay_s`` holds the answer to DATA back."""

    port: int = 0
    received: list[Received] = field(default_factory=list)
    reply: Callable[[str], str] = lambda recipient: "250 OK"
    delay_s: float = 0.0
    #: Called once the server has the message, before it says so.
    taken: Callable[[], None] = lambda: None

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = self.reply(address)
        if answer.startswith("2"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        await asyncio.sleep(self.delay_s)
        content = envelope.content
        assert isinstance(content, bytes) and envelope.mail_from is not None
        user = session.auth_data.login.decode() if session.auth_data else None
        encrypted = server.transport.get_extra_info("sslcontext") is not None
        self.received.append(Received(envelope.mail_from, list(envelope.rcpt_tos), encrypted, user, content))
        self.taken()
        return "250 taken"

    def to(self, address: str) -> list[Received]:
        return [one for one in self.received if one.recipients == [address]]


def certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A self-made certificate for localhost: its file, and the server's context."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path, key_path = folder / "smtp.pem", folder / "smtp.key"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, key_path)
    return path, context


@dataclass
class SmtpWorld:
    """The server and what a node must be told to use it."""

    mailbox: Mailbox
    ca: Path
    security: str = "starttls"

    def settings(self, base: Settings, **more: Any) -> Settings:
        """``base`` with this server."""
        return base.model_copy(
            update={
                "smtp_host": "127.0.0.1",
                "smtp_port": self.mailbox.port,
                "smtp_security": self.security,
                "smtp_ca": self.ca,
                "smtp_from": SENDER,
                "smtp_timeout_s": 10.0,
                **more,
            }
        )

    def environment(self) -> dict[str, str]:
        """The same for a process of its own."""
        return {
            "SIVO_SMTP_HOST": "127.0.0.1",
            "SIVO_SMTP_PORT": str(self.mailbox.port),
            "SIVO_SMTP_CA": str(self.ca),
            "SIVO_SMTP_FROM": SENDER,
        }


@asynccontextmanager
async def smtp_world(
    folder: Path, *, security: str = "starttls", tls: bool = True, login: tuple[str, str] | None = None
) -> AsyncIterator[SmtpWorld]:
    """Serve on a free port; ``tls=False``: a server that knows no encryption; ``login``: user and password it wants."""
    path, context = certificate(folder)
    mailbox = Mailbox()

    def check(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword) and login is not None
        right = (data.login.decode(), data.password.decode()) == login
        return AuthResult(success=right, handled=False, auth_data=data)

    def protocol() -> SMTP:
        starttls = tls and security == "starttls"
        return SMTP(
            mailbox,
            hostname="localhost",
            enable_SMTPUTF8=True,
            tls_context=context if starttls else None,
            require_starttls=starttls,
            authenticator=check if login else None,
            auth_required=login is not None,
            auth_require_tls=starttls,
        )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, "127.0.0.1", 0, ssl=context if tls and security == "tls" else None)
    mailbox.port = server.sockets[0].getsockname()[1]
    try:
        yield SmtpWorld(mailbox, path, security)
    finally:
        server.close()
