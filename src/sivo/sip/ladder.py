"""The SIP ladder: one record for each message that came or went, without secrets."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime

from sivo.sip.message import Request, Response
from sivo.sip.peer import Peer

#: What headers with secrets are known by (:meth:`sivo.sip.headers.Headers.fields`).
_SECRET = frozenset(
    (
        "authorization",
        "proxy-authorization",
        "authentication-info",
        "proxy-authentication-info",
        "x-sivo-edge",
    )
)
_URI_PASSWORD = re.compile(r"(sips?:[^@\s<>:;]+):[^@\s<>]*@", re.IGNORECASE)
#: Of a password there are two colons before the "@": the scheme's and its own.
_PERHAPS_PASSWORD = re.compile(r":[^@\s<>:;]+:[^@\s<>]*@")
#: SDP lines that carry keys: SDES (RFC 4568), ICE (RFC 8839), and the old k= line.
_SDP_SECRETS = re.compile(r"^(a=crypto:\S+\s+\S+|a=ice-pwd:|k=).*$", re.MULTILINE)

_LENGTH = re.compile(r"(content-length|l)\s*:", re.IGNORECASE)


@dataclass(slots=True)
class LadderEntry:
    """One message. ``direction`` is ``in`` or ``out``, seen from us; ``again`` marks our own repetitions.

    Never changed; not frozen, because making one costs three times as much then, and every message makes one."""

    at: datetime
    direction: str
    peer: Peer
    first_line: str
    call_id: str
    cseq: str
    again: bool = False
    _message: Request | Response | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of(
        cls, message: Request | Response, direction: str, peer: Peer, at: datetime, *, again: bool = False
    ) -> LadderEntry:
        """The record of one message."""
        return cls(
            at,
            direction,
            peer,
            _without_passwords(message.start_line),
            (message.headers.get("Call-ID") or "").strip(),
            message.headers.get("CSeq") or "",
            again,
            message,
        )

    @property
    def text(self) -> str:
        """The whole message with secrets replaced by ``***``; of bodies only SDP is shown."""
        return "" if self._message is None else redacted(self._message, self.first_line)

    @property
    def wire(self) -> bytes:
        """The same as a SIP message again: line ends and Content-Length as on the wire."""
        head, _, body = self.text.partition("\n\n")
        sdp = self._message is not None and self._message.content_type == "application/sdp"
        content = body.replace("\n", "\r\n").encode() if sdp else b""
        lines = [line for line in head.split("\n") if line and not _LENGTH.match(line)]
        return "\r\n".join([*lines, f"Content-Length: {len(content)}", "", ""]).encode() + content


def redacted(message: Request | Response, first_line: str | None = None) -> str:
    """``message`` as text: credentials, passwords in URIs and media keys removed, bodies other than SDP left out.

    ``first_line``: the first one as it was made already."""
    lines = [message.start_line if first_line is None else first_line]
    lines += [
        f"{name}: {value if key not in _SECRET else _without_credentials(value)}"
        for key, name, value in message.headers.fields()
    ]
    lines.append("")
    text = _without_passwords("\n".join(lines))
    if not message.body:
        return text
    if message.content_type == "application/sdp":
        body = message.body.decode("utf-8", "replace").replace("\r\n", "\n")
        if "a=crypto:" in body or "a=ice-pwd:" in body or "k=" in body:
            body = _SDP_SECRETS.sub(r"\1 ***", body)
        return f"{text}\n{body}"
    return f"{text}\n({len(message.body)} bytes of {message.content_type or 'unknown type'})\n"


def _without_credentials(value: str) -> str:
    return f"{value.split(' ', 1)[0]} ***" if value.lower().startswith(("digest ", "basic ")) else "***"


def _without_passwords(text: str) -> str:
    return text if "@" not in text or _PERHAPS_PASSWORD.search(text) is None else _URI_PASSWORD.sub(r"\1:***@", text)
