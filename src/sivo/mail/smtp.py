"""One message to the operator's SMTP server (RFC 5321), under STARTTLS (RFC 3207) or TLS from the start (RFC 8314)."""

from __future__ import annotations

import asyncio
import ssl
from email.message import EmailMessage

from aiosmtplib import SMTP
from aiosmtplib.errors import (
    SMTPAuthenticationError,
    SMTPDataError,
    SMTPException,
    SMTPNotSupported,
    SMTPRecipientsRefused,
    SMTPResponseException,
)

from sivo.base.settings import Settings
from sivo.mail.engine import Outcome

#: Of a server's own words.
_MAX_REASON = 300


class SmtpServer:
    """The server of the settings; a connection a message."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._context: ssl.SSLContext | None = None
        self.sender = settings.smtp_from or f"no-reply@{settings.app_domain_suffix}"

    @property
    def timeout_s(self) -> float:
        """Seconds that one message may take."""
        return self._settings.smtp_timeout_s

    async def send(self, message: EmailMessage, recipient: str) -> Outcome:
        """Hand ``message`` over; every failure becomes an outcome.

        Final are a 5xx to the recipient or to the data. What is the operator's to mend (connection, TLS, password,
        sender) is tried again.
        """
        accepted = False
        try:
            client = await self._client()
            async with asyncio.timeout(self.timeout_s), client:
                await client.send_message(message, sender=self.sender, recipients=[recipient])
                accepted = True
        except Exception as error:
            if accepted:  # only the farewell went wrong
                return Outcome(250)
            found = outcome_of(error)
            if found is None:
                raise
            return found
        return Outcome(250)

    async def _client(self) -> SMTP:
        settings, plain = self._settings, self._settings.dangerous_smtp_plain
        user = settings.smtp_user or None
        return SMTP(
            hostname=settings.smtp_host,
            port=settings.smtp_port,
            timeout=self.timeout_s,
            use_tls=not plain and settings.smtp_security == "tls",
            start_tls=not plain and settings.smtp_security == "starttls",
            tls_context=None if plain else await self._tls(),
            username=user,
            password=await self._password() if user else None,
            local_hostname=self.sender.rpartition("@")[2],
        )

    async def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = await asyncio.to_thread(ssl.create_default_context, cafile=self._settings.smtp_ca)
        return self._context

    async def _password(self) -> str:
        path = self._settings.smtp_password_file
        if path is None:
            return self._settings.smtp_password.get_secret_value()
        return (await asyncio.to_thread(path.read_text, encoding="utf-8")).strip()


def outcome_of(error: Exception) -> Outcome | None:
    """What an exception of an attempt means; None for one that is a fault of ours."""
    if isinstance(error, SMTPRecipientsRefused) and error.recipients:
        refused = error.recipients[0]
        return _answered("recipient", refused.code, refused.message, final=refused.code >= 500)
    if isinstance(error, SMTPDataError):
        return _answered("message", error.code, error.message, final=error.code >= 500)
    if isinstance(error, SMTPAuthenticationError):
        return Outcome(error.code, "the server refused user name or password")  # its words may repeat them
    if isinstance(error, SMTPNotSupported) and "SMTPUTF8" in str(error):
        return Outcome(None, "the server takes no international addresses (SMTPUTF8)", final=True)
    if isinstance(error, SMTPResponseException):
        return _answered("connection or sender", error.code, error.message, final=False)
    if isinstance(error, TimeoutError):
        return Outcome(None, "the server did not answer in time")
    if isinstance(error, SMTPException | OSError):
        return Outcome(None, f"{type(error).__name__}: {error}"[:_MAX_REASON])
    return None


def _answered(what: str, code: int, words: str, *, final: bool) -> Outcome:
    return Outcome(code, f"{what} refused with {code}: {' '.join(words.split())}"[:_MAX_REASON], final)
