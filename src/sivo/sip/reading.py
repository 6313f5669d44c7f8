"""Bytes to requests and responses (RFC 3261 §7).

Liberal in what is read: bare LF, folded headers, compact forms, leading blank lines, a missing Content-Length.
"""

from __future__ import annotations

import re

from sivo.sip.errors import SipParseError
from sivo.sip.grammar import is_token, parse_number
from sivo.sip.headers import Headers, clean, named
from sivo.sip.message import MAX_MESSAGE, Request, Response
from sivo.sip.uri import Uri

MAX_HEADERS = 256
#: Longest header name; the longest of RFC 4475 has 107 characters.
MAX_NAME = 255

_STATUS_LINE = re.compile(r"SIP/(\d+)\.(\d+) ([1-6]\d\d)(?: (.*))?\Z", re.IGNORECASE)
_REQUEST_LINE = re.compile(r"(\S+) (\S+) SIP/(\d+)\.(\d+)\s*\Z", re.IGNORECASE)
#: A first line that was meant to be a request's.
_REQUEST_LIKE = re.compile(r"([^\s:]{1,64}) +(\S+).* SIP/\d+\.\d+\s*\Z", re.IGNORECASE)


def parse(data: bytes, *, validate: bool = True) -> Request | Response:
    """Read one datagram. Raises SipParseError naming the header (or ``start line``).

    ``validate`` False checks start line and header syntax only, for callers that want to answer 400 to what they
    could half read.
    """
    if len(data) > MAX_MESSAGE:
        raise SipParseError(f"{len(data)} bytes, more than {MAX_MESSAGE}", "message", sip_status=513)
    head, body = _split(data.lstrip(b"\r\n"))
    # A NUL may stand in a quoted string (§25.1), but no database takes it: like bytes that are no UTF-8.
    text = head.decode("utf-8", "replace").replace("\0", "\ufffd")
    start, *lines = text.split("\n")
    message = _start(start.rstrip("\r"))
    message.headers = _headers(lines)
    message.body = _body(message.headers, body)
    if validate:
        message.validate()
    return message


def salvage(data: bytes) -> Request | None:
    """What can still be read of a request that :func:`parse` refused, so that it can be answered (§8.2).

    Header lines that are none are left out, a Request-URI that is none becomes ``sip:invalid.invalid``, the body is
    dropped. None for responses and for what does not even start like a request. Never act on it: only answer.
    """
    head, _ = _split(data[:MAX_MESSAGE].lstrip(b"\r\n"))
    start, *lines = head.decode("utf-8", "replace").replace("\0", "\ufffd").split("\n")
    match = _REQUEST_LIKE.match(start)
    if match is None or not is_token(match.group(1)):
        return None
    try:
        uri = Uri.parse(match.group(2))
    except SipParseError:
        uri = Uri("sip", None, "invalid.invalid")
    unfolded: list[str] = []
    for line in (raw.rstrip("\r") for raw in lines[:MAX_HEADERS]):
        if line[:1] in (" ", "\t") and unfolded:
            unfolded[-1] += f" {line.strip()}"
        else:
            unfolded.append(line)
    parts = [line.partition(":") for line in unfolded]
    fields = [(name.strip(), value) for name, _, value in parts if is_token(name.strip()) and len(name) <= MAX_NAME]
    return Request(match.group(1), uri, Headers(fields))


def _split(data: bytes) -> tuple[bytes, bytes]:
    crlf, lf = data.find(b"\r\n\r\n"), data.find(b"\n\n")
    if crlf >= 0 and (lf < 0 or crlf < lf):
        return data[:crlf], data[crlf + 4 :]
    if lf >= 0:
        return data[:lf], data[lf + 2 :]
    return data.rstrip(b"\r\n"), b""


def _start(line: str) -> Request | Response:
    if match := _STATUS_LINE.match(line):
        major, minor, status, reason = match.groups()
        if (major, minor) != ("2", "0"):
            raise SipParseError(f"version {major[:5]}.{minor[:5]}", "start line", sip_status=505)
        return Response(int(status), reason or "")
    match = _REQUEST_LINE.match(line)
    if match is None:
        raise SipParseError(f"{line[:60]!r} is neither a request nor a status line", "start line")
    method, uri, major, minor = match.groups()
    if (major, minor) != ("2", "0"):
        raise SipParseError(f"version {major[:5]}.{minor[:5]}", "start line", sip_status=505)
    if not is_token(method) or len(method) > 64:
        raise SipParseError(f"{method[:40]!r} is not a method", "start line")
    return Request(method, uri)


def _headers(lines: list[str]) -> Headers:
    fields: list[tuple[str, str, str]] = []
    if len(lines) > 2 * MAX_HEADERS:
        raise SipParseError(f"more than {2 * MAX_HEADERS} header lines", "message", sip_status=513)
    for line in lines:
        name, colon, value = line.partition(":")
        header = named(name) if colon and len(name) <= MAX_NAME else None
        if header is None:
            _odd_line(line.rstrip("\r"), fields)
        else:
            value = value.strip()
            fields.append((header[0], header[1], clean(value) if "\r" in value else value))
    if len(fields) > MAX_HEADERS:
        raise SipParseError(f"more than {MAX_HEADERS} headers", "message", sip_status=513)
    return Headers.of(fields)


def _odd_line(line: str, fields: list[tuple[str, str, str]]) -> None:
    """One that goes on with the header before it, or has space before its colon; else it is none."""
    if line[:1] in (" ", "\t"):
        if not fields:
            raise SipParseError("the first header line is folded", "message")
        *known, value = fields[-1]
        fields[-1] = (known[0], known[1], f"{value} {line.strip()}".strip())
        return
    name, colon, value = line.partition(":")
    name = name.rstrip(" \t")
    header = named(name) if colon and len(name) <= MAX_NAME else None
    if header is None:
        raise SipParseError(f"{line[:40]!r} is not a header line", name[:40] or "message")
    fields.append((*header, clean(value)))


def _body(headers: Headers, body: bytes) -> bytes:
    lengths = {value.strip() for value in headers.all("Content-Length")}
    if not lengths:
        return body
    if len(lengths) > 1:
        raise SipParseError("stands more than once", "Content-Length")
    length = parse_number(lengths.pop(), "Content-Length", 2**31)
    if length > len(body):
        raise SipParseError(f"{length} bytes announced, {len(body)} came", "Content-Length")
    return body[:length]
