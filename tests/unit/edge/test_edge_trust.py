"""What a node believes of an edge, and of who pretends to be one: pure, over a directory made by hand."""

from __future__ import annotations

import ipaddress

import pytest
from pydantic import ValidationError

from sivo.base.ids import uuid7
from sivo.base.settings import Settings
from sivo.calls.gate import Authenticated, Forbidden, Gate
from sivo.edge.trust import Edge, Vouched
from sivo.routing.directory import Did, Directory, Extension, Tenant, TenantPicture, Trunk
from sivo.routing.live import LiveDirectory
from sivo.routing.sources import EdgePing, FromTenant, FromTrunk, Stranger
from sivo.sip.digest_server import DigestServer
from sivo.sip.ladder import redacted
from sivo.sip.message import Request
from sivo.sip.peer import Peer
from sivo.sip.sdes import SrtpPolicy
from sivo.sip.uri import Uri

TOKEN = "5e" * 32
EDGE = Peer("10.0.0.5", 5070)
KNOWN = Edge(TOKEN, "10.0.0.5:5070, [fd00::5]:5070")
DID = "+34910000001"


def tenant(slug: str) -> TenantPicture:
    made = Tenant(uuid7(), slug, (f"{slug}.sip.example", f"old-{slug}.sip.example"), "Europe/Madrid", 1)
    people = tuple(Extension(uuid7(), made.id, number, devices={f"dev{number}": "secret"}) for number in ("100", "101"))
    trunk = Trunk(uuid7(), made.id, "carrier", (ipaddress.ip_network("198.51.100.0/24"),))
    dids = (Did(uuid7(), made.id, DID, trunk.id, "extension", people[0].id),) if slug == "acme" else ()
    return TenantPicture(made, people, (trunk,), dids)


class Known(LiveDirectory):
    def __init__(self) -> None:
        self.current = Directory([tenant("acme"), tenant("globex")])


GATE = Gate(Known(), DigestServer(b"0" * 32), edge=KNOWN)


def request(method: str = "INVITE", from_: str = "100@acme.sip.example", to: str = "101", **told: str) -> Request:
    made = Request(
        method,
        Uri.parse(f"sip:{to}@acme.sip.example"),
        [("From", f"<sip:{from_}>;tag=a"), ("To", f"<sip:{to}@acme.sip.example>"), ("Call-ID", "c"), ("CSeq", "1 X")],
    )
    for name, value in told.items():
        made.headers.add(f"X-SIVO-{name}", value)
    return made


def phone(**told: str) -> Request:
    return request(**{"Edge": TOKEN, "Source": "udp:203.0.113.9:5062", "Account": "100@acme.sip.example", **told})


def test_an_edge_is_believed_by_its_place_and_its_token() -> None:
    expected = Vouched(Peer("203.0.113.9", 5062, "UDP"), "100", "acme.sip.example")
    assert KNOWN.vouched(phone(), EDGE) == expected
    assert KNOWN.vouched(phone(), Peer("10.0.0.5", 5060)) is None  # another process of that machine
    assert KNOWN.vouched(phone(), Peer("203.0.113.9", 5070)) is None
    assert KNOWN.vouched(phone(Edge="5f" * 32), EDGE) is None
    assert KNOWN.vouched(request(Source="udp:203.0.113.9:5062"), EDGE) is None
    assert KNOWN.vouched(phone(Edge="\N{LATIN SMALL LETTER E WITH ACUTE}"), EDGE) is None
    far = KNOWN.vouched(phone(Source="tls:[2001:db8::9]:5061", Media="srtp"), Peer("fd00::5", 5070))
    assert far is not None and far.source == Peer("2001:db8::9", 5061, "TLS") and far.protected


@pytest.mark.parametrize("name", ["Edge", "Source"])
def test_what_stands_there_twice_is_believed_not_at_all(name: str) -> None:
    twice = phone()
    twice.headers.add(f"X-SIVO-{name}", "udp:198.51.100.7:5060")
    assert KNOWN.vouched(twice, EDGE) is None


def test_an_account_that_stands_there_twice_is_no_account() -> None:
    twice = phone()
    twice.headers.add("X-SIVO-Account", "101@acme.sip.example")
    claimed = GATE.classify(twice, EDGE)
    assert isinstance(claimed, FromTenant)
    assert isinstance(GATE.authenticate(twice, claimed, EDGE, 0.0), Forbidden)


@pytest.mark.parametrize("source", ["", "udp", "udp:host:5060", "udp:203.0.113.9:x", "udp:203.0.113.9"])
def test_a_source_that_is_none_is_not_believed(source: str) -> None:
    assert KNOWN.vouched(phone(Source=source), EDGE) is None


def test_without_an_edge_nobody_is_one() -> None:
    assert Edge().peer is None and Edge().headers == ()
    assert Edge("", "10.0.0.5:5070").vouched(request(Source="udp:203.0.113.9:5062"), EDGE) is None
    assert Edge(TOKEN).vouched(phone(), EDGE) is None


def test_the_edge_has_checked_the_digest_and_we_check_whose_it_is() -> None:
    def verdict(made: Request) -> object:
        claimed = GATE.classify(made, EDGE)
        assert isinstance(claimed, FromTenant)
        return GATE.authenticate(made, claimed, EDGE, 0.0)

    found = verdict(phone())
    assert isinstance(found, Authenticated) and (found.extension.number, found.account) == ("100", "100")
    device = verdict(phone(Account="dev100@old-acme.sip.example"))
    assert isinstance(device, Authenticated) and device.account == "dev100"
    for account in ("101@acme.sip.example", "100@globex.sip.example", "100", "", "dev100@nowhere.example"):
        assert isinstance(verdict(phone(Account=account)), Forbidden), account


def test_a_carrier_is_known_by_the_address_that_the_edge_saw() -> None:
    def carried(source: str) -> object:
        made = request(from_="+34600111222@carrier.example", to=DID, Edge=TOKEN, Source=source)
        return GATE.classify(made, EDGE)

    found = carried("udp:198.51.100.7:5060")
    assert isinstance(found, FromTrunk) and found.did.number == DID
    assert isinstance(carried("udp:203.0.113.9:5060"), Stranger)
    direct = request(from_="+34600111222@carrier.example", to=DID, Source="udp:198.51.100.7:5060")
    assert isinstance(GATE.classify(direct, Peer("203.0.113.9", 5060)), Stranger)


def test_who_sends_from_the_edges_place_without_its_token_can_only_ask_whether_we_live() -> None:
    assert isinstance(GATE.classify(request("OPTIONS", "edge@sivo.invalid"), EDGE), EdgePing)
    assert isinstance(GATE.classify(request(), EDGE), Stranger)
    assert not GATE.hears(request(), EDGE, 0.0)
    assert GATE.hears(phone(), EDGE, 0.0)


def test_a_policy_that_demands_srtp_is_kept_between_phone_and_edge() -> None:
    clear, protected = phone(Media="rtp"), phone(Media="srtp")
    assert KNOWN.srtp_here(SrtpPolicy.REQUIRED, clear, EDGE) is None
    assert KNOWN.srtp_here(SrtpPolicy.REQUIRED, protected, EDGE) is SrtpPolicy.OFF
    assert KNOWN.srtp_here(SrtpPolicy.OPTIONAL, clear, EDGE) is SrtpPolicy.OFF
    assert KNOWN.srtp_here(SrtpPolicy.REQUIRED, protected, Peer("203.0.113.9", 5061, "TLS")) is SrtpPolicy.REQUIRED


def test_the_token_stands_in_no_ladder() -> None:
    assert TOKEN in bytes(phone()).decode()
    assert TOKEN not in redacted(phone())


def test_edges_that_are_no_places_are_refused_by_name() -> None:
    assert Settings(sip_edges="10.0.0.5:5070,[fd00::5]:5070").sip_edges
    for wrong in ("edge.example:5070", "10.0.0.5", "10.0.0.5:x"):
        with pytest.raises(ValidationError, match="sip_edges"):
            Settings(sip_edges=wrong)
