"""Source rules, route decisions and numbers: pure, over a directory made by hand."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime

import pytest

from sivo.base.ids import uuid7
from sivo.routing import decide, numbers, sources
from sivo.routing.directory import Agent, Did, Directory, Extension, OutboundRule, Tenant, TenantPicture, Trunk
from sivo.routing.sources import Claim, FromTenant, FromTrunk, Stranger, TrunkPing, UnknownDid


def picture(slug: str, number: str, cidr: str, *, outbound: str = "", status: str = "active") -> TenantPicture:
    tenant = Tenant(uuid7(), slug, (f"{slug}.sip.example",), "Europe/Madrid", 1, status)
    agent = Agent(uuid7(), tenant.id, f"agent of {slug}", {})
    rules = (OutboundRule(outbound),) if outbound else ()
    trunk = Trunk(uuid7(), tenant.id, "carrier", (ipaddress.ip_network(cidr),), "127.0.0.9", 5060, "34", rules)
    inside = Did(uuid7(), tenant.id, "+34900000000", None, "ai_agent", agent.id)
    did = Did(uuid7(), tenant.id, number, trunk.id, "ai_agent", agent.id)
    people = tuple(Extension(uuid7(), tenant.id, n) for n in ("100", "101"))
    return TenantPicture(tenant, people, (trunk,), (did, inside), (agent,))


NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
ACME = picture("acme", "+34910000001", "185.45.152.0/24", outbound="+34")
GLOBEX = picture("globex", "+34910000002", "185.45.152.180/32")
GONE = picture("gone", "+34910000003", "10.1.0.0/16", status="suspended")
DIRECTORY = Directory([ACME, GLOBEX, GONE])


def claim(to: str, source: str, method: str = "INVITE", from_: str = "+34600@carrier.example") -> sources.Source:
    user, host = from_.split("@")
    return sources.classify(DIRECTORY, Claim(method, user, host, to, source))


def test_a_local_from_domain_needs_a_digest_wherever_it_comes_from() -> None:
    found = claim("100", "185.45.152.1", from_="100@ACME.sip.example")
    assert isinstance(found, FromTenant)
    assert found.tenant.slug == "acme" and found.extension is not None and found.extension.number == "100"
    unknown = claim("100", "203.0.113.1", from_="999@acme.sip.example")
    assert isinstance(unknown, FromTenant) and unknown.extension is None


def test_the_did_says_whose_call_it_is_among_trunks_that_share_an_address() -> None:
    first, second = claim("+34910000001", "185.45.152.180"), claim("0034910000002", "185.45.152.180")
    assert isinstance(first, FromTrunk) and first.trunk.tenant_id == ACME.tenant.id
    assert isinstance(second, FromTrunk) and second.trunk.tenant_id == GLOBEX.tenant.id


def test_a_did_is_only_reached_through_a_trunk_that_owns_it() -> None:
    assert isinstance(claim("+34910000002", "185.45.152.7"), UnknownDid)
    assert isinstance(claim("+34900000000", "185.45.152.7"), UnknownDid)
    assert isinstance(claim("999", "185.45.152.7"), UnknownDid)


def test_strangers_and_suspended_tenants_are_not_there() -> None:
    assert isinstance(claim("+34910000001", "203.0.113.1"), Stranger)
    assert isinstance(claim("+34910000003", "10.1.2.3"), Stranger)
    assert isinstance(claim("100", "203.0.113.1", from_="100@gone.sip.example"), Stranger)
    assert isinstance(claim("+34910000001", "185.45.152.1", "REGISTER"), Stranger)
    assert isinstance(claim("+34910000001", "not an address"), Stranger)


def test_a_carrier_may_ask_whether_we_live() -> None:
    assert isinstance(claim("", "::ffff:185.45.152.9", "OPTIONS"), TrunkPing)


CALLER = ACME.extensions[0]


@pytest.mark.parametrize(
    ("dialled", "outcome", "rule"),
    [
        ("101", "extension", "extension"),
        ("+34 910 000 001", "ai_agent", "extension.did"),
        ("+34900000000", "ai_agent", "extension.did"),
        ("+34910000002", "trunk", "outbound.allowed"),
        ("+442071234567", "refused", "outbound.denied"),
        ("999", "refused", "unknown"),
        ("nobody", "refused", "unknown"),
    ],
)
def test_what_an_extension_dials(dialled: str, outcome: str, rule: str) -> None:
    made = decide.from_extension(DIRECTORY, CALLER, dialled, NOW)
    assert (made.outcome(), made.rule) == (outcome, rule)
    assert made.reason and made.details()["target"]


def test_outbound_is_denied_by_default_and_never_through_another_tenants_trunk() -> None:
    made = decide.from_extension(DIRECTORY, GLOBEX.extensions[0], "+34699999999", NOW)
    assert (made.outcome(), made.direction) == ("refused", "outbound")


def test_a_did_whose_target_is_gone_is_refused_with_the_reason() -> None:
    lost = Did(uuid7(), ACME.tenant.id, "+34910000009", ACME.trunks[0].id, "ai_agent", uuid7())
    made = decide.from_trunk(DIRECTORY, lost, ACME.trunks[0], "+34600", NOW)
    assert isinstance(made.target, decide.Refuse) and made.target.status == 480
    foreign = Did(uuid7(), ACME.tenant.id, "+34910000009", ACME.trunks[0].id, "ai_agent", GLOBEX.agents[0].id)
    assert decide.from_trunk(DIRECTORY, foreign, ACME.trunks[0], "+34600", NOW).outcome() == "refused"


def test_a_transfer_stays_inside_the_tenant() -> None:
    found = decide.transfer(DIRECTORY, ACME.tenant.id, "101", NOW, from_trunk=True)
    assert isinstance(found, decide.ToExtension) and found.extension.tenant_id == ACME.tenant.id
    assert isinstance(decide.transfer(DIRECTORY, uuid7(), "101", NOW, from_trunk=True), decide.Refuse)


def test_a_transfer_to_a_carrier_follows_the_rules_and_never_goes_from_trunk_to_trunk() -> None:
    number = "+34600111222"
    allowed = decide.transfer(DIRECTORY, ACME.tenant.id, number, NOW, from_trunk=False)
    assert isinstance(allowed, decide.ToTrunk) and allowed.trunk is ACME.trunks[0]
    assert isinstance(decide.transfer(DIRECTORY, ACME.tenant.id, number, NOW, from_trunk=True), decide.Refuse)
    assert isinstance(decide.transfer(DIRECTORY, GLOBEX.tenant.id, number, NOW, from_trunk=False), decide.Refuse)


@pytest.mark.parametrize(
    ("user", "country", "expected"),
    [
        ("+34910000001", "", ["+34910000001"]),
        ("0034 910-000.001", "", ["+34910000001"]),
        ("34910000001", "", ["+34910000001"]),
        ("910000001", "34", ["+910000001", "+34910000001"]),
        ("0612345678", "33", ["+33612345678", "+330612345678"]),
        ("+34910000001;npdi", "", ["+34910000001"]),
        ("+3491\x000000001", "", ["+34910000001"]),
        ("+0123", "", []),
        ("anonymous", "34", []),
        ("", "34", []),
        ("1234567890123456", "", []),
    ],
)
def test_numbers_become_e164(user: str, country: str, expected: list[str]) -> None:
    assert numbers.e164_candidates(user, country) == expected
