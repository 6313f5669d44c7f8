"""RFC 4475 §3.3: messages that are well formed, and that only the transaction user can judge."""

from __future__ import annotations

from pathlib import Path

import pytest

from sivo.calls.legs import unsupported
from sivo.sip import Peer, TransactionLayer
from sivo.sip.transactions import Incoming

CORPUS = Path(__file__).parents[2] / "data" / "sip" / "rfc4475"
PHONE, US = Peer("192.0.2.10", 5062), Peer("192.0.2.1", 5060)


@pytest.mark.parametrize(
    ("name", "status", "header"),
    [
        ("bext01", 420, ("Unsupported", "nothingSupportsThis")),
        ("invut", 415, ("Accept", "application/sdp")),
        ("sdp01", 406, None),
        ("wsinv", None, None),
        ("inv2543", None, None),
        ("longreq", None, None),
    ],
)
def test_verdict(name: str, status: int | None, header: tuple[str, str] | None) -> None:
    layer = TransactionLayer(accept=lambda request, source: True, sent_by=lambda _: (US.host, US.port))
    outputs = layer.receive((CORPUS / f"{name}.dat").read_bytes(), PHONE, US, 0.0)
    (incoming,) = [output for output in outputs if isinstance(output, Incoming)]
    answer = unsupported(incoming.txn)
    assert (answer.status if answer else None) == status
    if answer is not None and header is not None:
        assert answer.headers.get(header[0]) == header[1]
