"""Keys in SIP INFO, as phones and carriers write them."""

from __future__ import annotations

import pytest

from sivo.calls import keys
from sivo.sip.message import Request
from sivo.sip.uri import Uri


def info(kind: str, body: str) -> Request:
    request = Request("INFO", Uri.parse("sip:a@127.0.0.1"))
    request.set_body(body.encode(), kind)
    return request


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        (keys.RELAY, "Signal=5\r\nDuration=160\r\n", ("5", 160)),
        (keys.RELAY, "Signal= *\nDuration= 250\n", ("*", 250)),
        (keys.RELAY, "signal=11\r\nduration=x\r\n", ("#", 100)),
        (keys.RELAY, "Signal=d", ("D", 100)),
        (keys.RELAY, "Duration=160\r\n", None),
        (keys.RELAY, "Signal=55\r\n", None),
        (keys.BARE, "7", ("7", 100)),
        (keys.BARE, "#\r\n", ("#", 100)),
        (keys.BARE, "flash", None),
        (keys.BARE, "\xff\x00", None),
    ],
)
def test_what_is_read(kind: str, body: str, expected: tuple[str, int] | None) -> None:
    assert keys.read(info(kind, body)) == expected
