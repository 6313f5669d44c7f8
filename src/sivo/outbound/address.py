"""The URL of an outbound request as text: which are taken at all, and what of one may be shown."""

from __future__ import annotations

import ipaddress

from yarl import URL

from sivo.outbound.guard import GuardRefused


def checked_url(text: str) -> URL:
    """Read it; :class:`GuardRefused` unless it is http(s) with a host and without credentials."""
    try:
        url = URL(text)
        host, _ = url.host, url.port
    except ValueError as error:
        raise GuardRefused("the URL cannot be read", remedy="write it as https://host[:port]/path") from error
    if url.scheme not in ("http", "https") or not host:
        raise GuardRefused(
            "the URL is not an http(s) URL with a host", where=url.scheme, remedy="write it as https://host[:port]/path"
        )
    if url.raw_user is not None or url.raw_password is not None:
        raise GuardRefused(
            "the URL holds a user name or password",
            where=origin(url),
            remedy="store the credential as a secret; URLs end up in logs and traces",
        )
    return url


def as_http(url: str) -> str:
    """ws:// and wss:// are http:// and https:// to everything here."""
    return f"http{url[2:]}" if url.startswith(("ws://", "wss://")) else url


def is_literal(url: URL) -> bool:
    """Whether the host is an IP address rather than a name."""
    try:
        ipaddress.ip_address(url.host or "")
    except ValueError:
        return False
    return True


def origin(url: URL) -> str:
    """Scheme, host and port: paths and queries may hold secrets."""
    return f"{url.scheme}://{url.host}:{url.port}"
