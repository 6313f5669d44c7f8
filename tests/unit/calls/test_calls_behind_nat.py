"""When the address in a phone's SDP is believed, and when the leg listens to whoever sends first."""

from __future__ import annotations

import pytest

from sivo.calls.media_session import is_behind_nat


@pytest.mark.parametrize(
    ("media", "signalling", "expected"),
    [
        ("192.168.1.20", "203.0.113.7", True),  # a phone at home behind its router
        ("100.64.3.4", "203.0.113.7", True),  # carrier-grade NAT, RFC 6598
        ("169.254.9.9", "203.0.113.7", True),  # a phone that found no DHCP server
        ("fd00::20", "2001:db8::7", True),
        ("192.168.1.20", "192.168.1.20", False),  # a phone in our own network
        ("8.8.8.8", "8.8.8.8", False),
        ("8.8.4.4", "8.8.8.8", False),  # a carrier with media gateways of their own
        ("8.8.4.4", "sip.carrier.example", False),
        ("10.0.0.5", "sip.carrier.example", True),
    ],
)
def test_only_an_address_that_nobody_can_reach_opens_the_latch(media: str, signalling: str, expected: bool) -> None:
    assert is_behind_nat(media, signalling) is expected
