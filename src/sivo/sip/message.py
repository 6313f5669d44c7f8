"""Requests and responses (RFC 3261 §7), strict in what is written: CRLF, full names, one field a line, Content-Length
always there and right. How they are read: :mod:`sivo.sip.reading`.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from typing import TypeVar

from sivo.sip.address import NameAddr
from sivo.sip.errors import SipParseError
from sivo.sip.grammar import is_token, parse_number
from sivo.sip.headers import Headers, canonical
from sivo.sip.uri import Uri
from sivo.sip.via import MAGIC_COOKIE, Via

#: Largest message in bytes, head and body together; the most a datagram can carry.
MAX_MESSAGE = 64 * 1024
MAX_CSEQ = 2**31 - 1

REASONS = {
    100: "Trying", 180: "Ringing", 181: "Call Is Being Forwarded", 182: "Queued", 183: "Session Progress",
    200: "OK", 202: "Accepted", 300: "Multiple Choices", 301: "Moved Permanently", 302: "Moved Temporarily",
    305: "Use Proxy", 380: "Alternative Service", 400: "Bad Request", 401: "Unauthorized", 402: "Payment Required",
    403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 406: "Not Acceptable",
    407: "Proxy Authentication Required", 408: "Request Timeout", 410: "Gone", 412: "Conditional Request Failed",
    413: "Request Entity Too Large", 414: "Request-URI Too Long", 415: "Unsupported Media Type",
    416: "Unsupported URI Scheme", 420: "Bad Extension", 421: "Extension Required", 422: "Session Interval Too Small",
    423: "Interval Too Brief", 429: "Provide Referrer Identity", 480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist", 482: "Loop Detected", 483: "Too Many Hops", 484: "Address Incomplete",
    485: "Ambiguous", 486: "Busy Here", 487: "Request Terminated", 488: "Not Acceptable Here", 489: "Bad Event",
    491: "Request Pending", 493: "Undecipherable", 500: "Server Internal Error", 501: "Not Implemented",
    502: "Bad Gateway", 503: "Service Unavailable", 504: "Server Time-out", 505: "Version Not Supported",
    513: "Message Too Large", 600: "Busy Everywhere", 603: "Decline", 604: "Does Not Exist Anywhere",
    606: "Not Acceptable",
}  # fmt: skip

_SINGLE = ("from", "to", "call-id", "cseq", "max-forwards", "content-type")
_REQUIRED = {"via": "Via", "from": "From", "to": "To", "call-id": "Call-ID", "cseq": "CSeq"}
_CONTENT_TYPE = re.compile(r"\s*[^\s/;]+\s*/\s*[^\s/;]+\s*(?:;.*)?\Z", re.DOTALL)


def new_tag() -> str:
    """A From or To tag: 64 random bits (§19.3 asks for 32)."""
    return secrets.token_hex(8)


def new_call_id() -> str:
    """A Call-ID that nobody can guess and that names no host."""
    return secrets.token_hex(16)


def new_branch() -> str:
    """A Via branch with the magic cookie."""
    return MAGIC_COOKIE + secrets.token_hex(12)


T = TypeVar("T")


class Message:
    """What requests and responses share. Typed readings raise SipParseError naming the header."""

    __slots__ = ("body", "headers")

    def __init__(self, headers: Headers | Iterable[tuple[str, str]] = (), body: bytes = b"") -> None:
        self.headers = headers if isinstance(headers, Headers) else Headers(headers)
        self.body = body

    def _need(self, name: str) -> str:
        value = self.headers.get(name)
        if value is None:
            raise SipParseError(f"{name} is missing", name)
        return value

    @property
    def start_line(self) -> str:
        """The first line without its line break."""
        raise TypeError("a message is a Request or a Response")

    @property
    def call_id(self) -> str:
        known: str | None = self.headers.read.get("Call-ID")
        return known or self._remember("Call-ID", _call_id(self._need("Call-ID")))

    @property
    def cseq(self) -> tuple[int, str]:
        """Sequence number and method."""
        known: tuple[int, str] | None = self.headers.read.get("CSeq")
        return known or self._remember("CSeq", _cseq(self._need("CSeq")))

    @property
    def from_(self) -> NameAddr:
        known: NameAddr | None = self.headers.read.get("From")
        return known or self._remember("From", NameAddr.parse(self._need("From"), "From"))

    @property
    def to(self) -> NameAddr:
        known: NameAddr | None = self.headers.read.get("To")
        return known or self._remember("To", NameAddr.parse(self._need("To"), "To"))

    @property
    def via(self) -> Via:
        """The topmost Via."""
        known: Via | None = self.headers.read.get("Via")
        return known or self._remember("Via", Via.parse(self._need("Via")))

    def set_via(self, via: Via) -> None:
        """Replace the topmost Via."""
        self.headers.set("Via", str(via), *self.headers.all("Via")[1:])
        self._remember("Via", via)

    def _remember(self, name: str, value: T) -> T:
        self.headers.read[name] = value
        return value

    @property
    def contacts(self) -> list[NameAddr]:
        """Contact addresses; a lone ``*`` (REGISTER) gives no address: look at ``headers.get("Contact")``."""
        known: list[NameAddr] | None = self.headers.read.get("Contact")
        if known is not None:
            return known
        values = self.headers.all("Contact")
        return self._remember("Contact", [NameAddr.parse(value, "Contact") for value in values if value != "*"])

    @property
    def routes(self) -> list[NameAddr]:
        return [NameAddr.parse(value, "Route") for value in self.headers.all("Route")]

    @property
    def record_routes(self) -> list[NameAddr]:
        return [NameAddr.parse(value, "Record-Route") for value in self.headers.all("Record-Route")]

    @property
    def max_forwards(self) -> int:
        """Hops left; 70 where the header is missing (§8.1.1.6)."""
        value = self.headers.get("Max-Forwards")
        return 70 if value is None else parse_number(value, "Max-Forwards", 255)

    @property
    def content_type(self) -> str:
        """Media type in lower case without parameters; empty if there is none."""
        return (self.headers.get("Content-Type") or "").partition(";")[0].strip().lower()

    def set_body(self, body: bytes, content_type: str) -> None:
        """Replace the body and its type."""
        self.body = body
        if body:
            self.headers.set("Content-Type", content_type)
        else:
            self.headers.remove("Content-Type")

    def validate(self) -> None:
        """Check every header a transaction depends on; raises SipParseError for the first bad one."""
        there = self.headers.look()
        for key, name in _REQUIRED.items():
            if key not in there:
                raise SipParseError(f"{name} is missing", name)
        if self.headers.repeated():
            keys = self.headers.keys()
            for key in _SINGLE:
                if keys.count(key) > 1:
                    raise SipParseError("stands more than once", canonical(key))
        _ = (self.from_, self.to, self.call_id, self.cseq)
        if "max-forwards" in there:
            _ = self.max_forwards
        if "contact" in there:
            _ = self.contacts
        _ = [Via.parse(value) for value in self.headers.all("Via")]
        if "route" in there or "record-route" in there:
            _ = (self.routes, self.record_routes)
        if (value := there.get("content-type")) is not None and not _CONTENT_TYPE.match(value):
            raise SipParseError(f"{value[:40]!r} is not a media type", "Content-Type")

    def __bytes__(self) -> bytes:
        lines = [self.start_line, *self.headers.lines("content-length")]
        lines.append(f"Content-Length: {len(self.body)}\r\n\r\n")
        return "\r\n".join(lines).encode("utf-8", "replace") + self.body

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and bytes(self) == bytes(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.start_line}>"


def _call_id(text: str) -> str:
    value = text.strip()
    if not value or " " in value:
        raise SipParseError("Call-ID is empty or has spaces", "Call-ID")
    return value


def _cseq(text: str) -> tuple[int, str]:
    number, _, method = text.partition(" ")
    method = method.strip()
    if not is_token(method):
        raise SipParseError(f"{method[:40]!r} is not a method", "CSeq")
    return parse_number(number, "CSeq", MAX_CSEQ), method


class Request(Message):
    """A request. ``uri`` is the Request-URI."""

    __slots__ = ("method", "uri")

    def __init__(
        self,
        method: str,
        uri: Uri | str,
        headers: Headers | Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> None:
        super().__init__(headers, body)
        self.method = method
        self.uri = Uri.parse(uri, "Request-URI") if isinstance(uri, str) else uri

    @property
    def start_line(self) -> str:
        return f"{self.method} {self.uri} SIP/2.0"

    def validate(self) -> None:
        super().validate()
        if self.cseq[1] != self.method:
            raise SipParseError(f"CSeq is for {self.cseq[1][:20]}, the request is {self.method[:20]}", "CSeq")

    def copy(self) -> Request:
        """An independent copy."""
        return Request(self.method, self.uri, self.headers.copy(), self.body)


class Response(Message):
    """A response."""

    __slots__ = ("reason", "status")

    def __init__(
        self,
        status: int,
        reason: str | None = None,
        headers: Headers | Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> None:
        super().__init__(headers, body)
        self.status = status
        self.reason = REASONS.get(status, "Unknown") if reason is None else reason

    @property
    def start_line(self) -> str:
        return f"SIP/2.0 {self.status} {' '.join(self.reason.split())}"

    @property
    def is_provisional(self) -> bool:
        return self.status < 200

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    def copy(self) -> Response:
        """An independent copy."""
        return Response(self.status, self.reason, self.headers.copy(), self.body)


def new_request(
    method: str,
    uri: Uri,
    *,
    from_: NameAddr,
    to: NameAddr,
    call_id: str | None = None,
    cseq: int = 1,
    contact: str | None = None,
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
    content_type: str = "application/sdp",
) -> Request:
    """A request outside a dialog (§8.1.1). Adds a From tag if there is none; the Via is added when it is sent."""
    request = Request(method, uri)
    fields = request.headers
    fields.add("Max-Forwards", "70")
    fields.add("From", str(from_ if from_.tag else from_.with_tag(new_tag())))
    fields.add("To", str(to))
    fields.add("Call-ID", call_id or new_call_id())
    fields.add("CSeq", f"{cseq} {method}")
    if contact is not None:
        fields.add("Contact", contact)
    for name, value in headers:
        fields.add(name, value)
    if body:
        request.set_body(body, content_type)
    return request


def response_to(request: Request, status: int, reason: str | None = None, *, to_tag: str | None = None) -> Response:
    """The skeleton of an answer (§8.2.6): Via, From, To, Call-ID, CSeq as received, To tag except for 100.

    Record-Route is copied into answers that can make a dialog (§12.1.1).
    """
    response = Response(status, reason)
    fields = response.headers
    fields.take(request.headers, "Via")
    if request.method in ("INVITE", "SUBSCRIBE", "REFER", "NOTIFY") and 100 < status < 300:
        fields.take(request.headers, "Record-Route")
    fields.add("From", request.headers.get("From") or "")
    to = request.headers.get("To") or ""
    if to_tag and status > 100 and not _has_tag(request):
        to += f";tag={to_tag}"
    fields.add("To", to)
    fields.add("Call-ID", request.headers.get("Call-ID") or "")
    fields.add("CSeq", request.headers.get("CSeq") or "")
    if status == 100 and (stamp := request.headers.get("Timestamp")) is not None:
        fields.add("Timestamp", stamp)
    return response


def _has_tag(request: Request) -> bool:
    try:
        return request.to.tag is not None
    except SipParseError:
        return True  # not readable: do not make it worse
