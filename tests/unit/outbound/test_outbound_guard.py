"""The guard's judgement of single addresses, and the grammar of the operator's allow-list."""

from __future__ import annotations

import pytest

from sivo.outbound.guard import Allowed, ExactGuard, Guard, GuardRefused, parse_allow

REFUSED = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.9.9.9",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.192",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "64:ff9b::7f00:1",
    "64:ff9b:1::a9fe:a9fe",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]


@pytest.mark.parametrize("address", REFUSED)
def test_addresses_that_lead_inside_are_refused(address: str) -> None:
    with pytest.raises(GuardRefused) as refused:
        Guard().check(address, 443)
    assert refused.value.code == "OUTBOUND_REFUSED"
    assert "SIVO_DANGEROUS_OUTBOUND_ALLOW" in (refused.value.remedy or "")


@pytest.mark.parametrize("address", ["8.8.8.8", "104.16.0.1", "2606:4700::1111", "2a00:1450:4001::1"])
def test_public_addresses_pass_on_https_ports_only(address: str) -> None:
    guard = Guard()
    guard.check(address, 443)
    guard.check(address, 8443)
    for port in (22, 25, 389):
        with pytest.raises(GuardRefused, match=f"port {port}"):
            guard.check(address, port)


def test_plain_http_needs_the_allow_list_even_for_public_addresses() -> None:
    with pytest.raises(GuardRefused, match="plain http"):
        Guard(plain=True).check("8.8.8.8", 80)
    Guard(parse_allow("8.8.8.8:80"), plain=True).check("8.8.8.8", 80)


def test_allow_list_entries_bind_network_and_port() -> None:
    allow = parse_allow(" 127.0.0.0/8:8090, 10.1.2.3 ,[fd00::/8]:443,fd01::1 ")
    assert [entry.port for entry in allow] == [8090, None, 443, None]
    guard = Guard(allow)
    for address, port in [("127.0.0.1", 8090), ("10.1.2.3", 22), ("fd00::5", 443), ("fd01::1", 9)]:
        guard.check(address, port)
    for address, port in [("127.0.0.1", 8091), ("10.1.2.4", 443), ("fd00::5", 80), ("::ffff:127.0.0.1", 8090)]:
        with pytest.raises(GuardRefused):
            guard.check(address, port)
    assert parse_allow("") == ()
    assert parse_allow("::1") == (Allowed(parse_allow("::1/128")[0].network),)


@pytest.mark.parametrize(
    "text", ["10.0.0.0/33", "10.0.0.1/8", "localhost", "127.0.0.1:0", "127.0.0.1:x", "[::1", "[::1]9"]
)
def test_wrong_allow_list_entries_are_named(text: str) -> None:
    with pytest.raises(ValueError, match="outbound allow-list entry"):
        parse_allow(text)


def test_internal_requests_reach_only_the_exact_place() -> None:
    guard = ExactGuard(frozenset({("127.0.0.1", 8090)}))
    guard.check("127.0.0.1", 8090)
    for address, port in [("127.0.0.1", 8091), ("127.0.0.2", 8090), ("8.8.8.8", 443)]:
        with pytest.raises(GuardRefused):
            guard.check(address, port)
