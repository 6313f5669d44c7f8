"""Toll fraud: calls a minute and at a time, countries, and no way from one carrier to another."""

from datetime import UTC, datetime
from uuid import UUID

from sivo.routing import decide
from sivo.routing.directory import CarrierLimits, Directory, Extension, OutboundRule, Tenant, TenantPicture, Trunk
from sivo.routing.fuse import Fuse

TENANT, OTHER = UUID(int=1), UUID(int=2)
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def test_calls_a_minute_and_the_fuse_closes_again() -> None:
    fuse = Fuse(per_minute=3, at_a_time=10)
    assert [fuse.admit(TENANT, 0, at) for at in (0.0, 1.0, 2.0)] == ["", "", ""]
    assert "3 calls to carriers within a minute" in fuse.admit(TENANT, 0, 3.0)
    assert fuse.admit(OTHER, 0, 3.0) == ""
    assert fuse.admit(TENANT, 0, 59.9) != ""
    assert fuse.admit(TENANT, 0, 60.0) == ""
    assert fuse.admit(TENANT, 0, 60.5) != ""


def test_calls_at_a_time() -> None:
    fuse = Fuse(per_minute=100, at_a_time=2)
    assert fuse.admit(TENANT, 1, 0.0) == ""
    assert "2 are allowed at a time" in fuse.admit(TENANT, 2, 0.0)


def directory(*trunks: Trunk) -> Directory:
    tenant = Tenant(TENANT, "acme", ("acme.example",), "UTC", 1)
    return Directory([TenantPicture(tenant, (CALLER,), trunks)])


CALLER = Extension(UUID(int=5), TENANT, "100")


def trunk(number: int, *prefixes: str, countries: tuple[str, ...] = ()) -> Trunk:
    rules = tuple(OutboundRule(prefix) for prefix in prefixes)
    return Trunk(UUID(int=number), TENANT, f"t{number}", (), "192.0.2.1", outbound=rules, countries=countries)


def test_countries_are_cut_down_to_those_of_the_list() -> None:
    known = directory(trunk(10, "+", countries=("34", "44")))
    assert decide.from_extension(known, CALLER, "+34910000001", NOW).rule == "outbound.allowed"
    for number in ("+35312345678", "+882161234567", "+1900555123"):
        assert decide.from_extension(known, CALLER, number, NOW).rule == "outbound.denied"
    assert decide.from_extension(directory(trunk(10, "+")), CALLER, "+35312345678", NOW).rule == "outbound.allowed"
    assert decide.from_extension(directory(trunk(10)), CALLER, "+34910000001", NOW).rule == "outbound.denied"


def test_a_second_trunk_takes_what_the_first_may_not() -> None:
    known = directory(trunk(10, "+", countries=("34",)), trunk(11, "+35"))
    route = decide.from_extension(known, CALLER, "+35312345678", NOW)
    assert isinstance(route.target, decide.ToTrunk)
    assert route.target.trunk.id == UUID(int=11)


def test_no_trunk_to_trunk() -> None:
    known = directory(trunk(10, "+"))
    assert decide.transfer(known, TENANT, "+34910000001", NOW, from_trunk=True) == decide.FORBIDDEN
    assert isinstance(decide.transfer(known, TENANT, "+34910000001", NOW, from_trunk=False), decide.ToTrunk)


def test_a_tenant_has_limits_of_its_own() -> None:
    fuse, own = Fuse(per_minute=3, at_a_time=10), CarrierLimits(per_minute=1, at_a_time=2)
    assert fuse.admit(TENANT, 0, 0.0, own) == ""
    assert "1 are allowed" in fuse.admit(TENANT, 0, 1.0, own)
    assert "2 are allowed at a time" in fuse.admit(TENANT, 2, 70.0, own)
    assert "0 are allowed" in fuse.admit(OTHER, 0, 0.0, CarrierLimits(per_minute=0))
    assert fuse.admit(OTHER, 9, 0.0, CarrierLimits(per_minute=5)) == ""  # at a time as the platform says


def test_carriers_are_called_by_the_priority_of_the_longest_rule() -> None:
    def carrier(number: int, *rules: OutboundRule) -> Trunk:
        return Trunk(UUID(int=number), TENANT, f"t{number}", (), "127.0.0.9", outbound=rules)

    known = directory(
        carrier(10, OutboundRule("+", 5), OutboundRule("+44", 30)),
        carrier(11, OutboundRule("+", 20)),
        carrier(12, OutboundRule("+", 20)),
    )
    spain, britain = (decide.from_extension(known, CALLER, to, NOW) for to in ("+34910000001", "+442071234567"))
    assert names(spain) == ["t10", "t11", "t12"]
    assert names(britain) == ["t11", "t12", "t10"]
    assert spain.reason == "trunk t10 allows +; then t11, t12" and spain.details()["target"]["then"] == ["t11", "t12"]


def names(made: decide.RouteDecision) -> list[str]:
    assert isinstance(made.target, decide.ToTrunk)
    return [one.trunk.name for one in (made.target, *made.target.others)]
