"""The address a login is counted under cannot be chosen by the one who logs in."""

from ipaddress import ip_address

import pytest

from sivo.identity.client_address import client_address, limit_key, parse_proxies

PROXIES = parse_proxies("10.0.0.0/8, 127.0.0.5/32, fd00::/8")


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),  # not a proxy of ours: its header is ignored
        ("10.1.1.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.1.1.1", ["1.2.3.4, 198.51.100.1"], "198.51.100.1"),  # the left part was written by the client
        ("10.1.1.1", ["1.2.3.4", "198.51.100.1, 10.2.2.2"], "198.51.100.1"),
        ("10.1.1.1", ["1.2.3.4, evil\r\nX: y"], "10.1.1.1"),  # nonsense ends the reading
        ("10.1.1.1", [""], "10.1.1.1"),
        ("10.1.1.1", [], "10.1.1.1"),
        ("fd00::1", ["2001:db8::7"], "2001:db8::7"),
    ],
)
def test_forwarded_headers_count_only_behind_trusted_proxies(peer: str, forwarded: list[str], expected: str) -> None:
    assert client_address(peer, forwarded, PROXIES) == ip_address(expected)


def test_without_proxies_nothing_is_believed() -> None:
    assert client_address("10.1.1.1", ["198.51.100.1"], ()) == ip_address("10.1.1.1")


def test_a_unix_socket_has_no_address() -> None:
    assert client_address("", ["198.51.100.1"], PROXIES) is None


def test_ipv6_is_counted_by_64_and_mapped_ipv4_as_ipv4() -> None:
    assert limit_key(ip_address("2001:db8:1:2:3:4:5:6")) == limit_key(ip_address("2001:db8:1:2::1"))
    assert limit_key(ip_address("2001:db8:1:3::1")) != limit_key(ip_address("2001:db8:1:2::1"))
    assert limit_key(ip_address("::ffff:192.0.2.1")) == "192.0.2.1"


def test_a_bad_proxy_setting_names_itself() -> None:
    with pytest.raises(ValueError, match="not-a-net"):
        parse_proxies("10.0.0.0/8,not-a-net")
