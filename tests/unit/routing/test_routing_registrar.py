"""The registrar on a clock of our own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sivo.base.ids import uuid7
from sivo.routing.directory import Extension
from sivo.routing.registrar import MAX_CONTACTS, Outcome, Registrar
from sivo.sip.message import Request
from sivo.sip.peer import Peer
from sivo.sip.reading import parse

NOW = datetime(2026, 1, 1, tzinfo=UTC)
EXTENSION = Extension(uuid7(), uuid7(), "100")
SOURCE = Peer("192.0.2.7", 40123)


def request(*headers: str, cseq: int = 1, call_id: str = "one") -> Request:
    lines = [
        "REGISTER sip:acme.sip.example SIP/2.0",
        "Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1",
        "From: <sip:100@acme.sip.example>;tag=1",
        "To: <sip:100@acme.sip.example>",
        f"Call-ID: {call_id}",
        f"CSeq: {cseq} REGISTER",
        *headers,
    ]
    made = parse("\r\n".join([*lines, "", ""]).encode())
    assert isinstance(made, Request)
    return made


def register(registrar: Registrar, *headers: str, at: datetime = NOW, cseq: int = 1, call_id: str = "one") -> Outcome:
    return registrar.register(EXTENSION, request(*headers, cseq=cseq, call_id=call_id), SOURCE, at)


PHONE = "Contact: <sip:100@10.0.0.1:5060>"
OTHER = "Contact: <sip:100@10.0.0.2:5060>;expires=120"


def test_a_binding_lives_as_long_as_asked_and_calls_go_where_its_packets_come_from() -> None:
    registrar = Registrar()
    outcome = register(registrar, PHONE, "Expires: 300")
    assert outcome.status == 200 and outcome.headers == [("Contact", "<sip:100@10.0.0.1:5060>;expires=300")]
    found = registrar.contacts(EXTENSION.id, NOW + timedelta(seconds=299))
    assert [(b.source, str(b.uri)) for b in found] == [(SOURCE, "sip:100@10.0.0.1:5060")]
    assert registrar.contacts(EXTENSION.id, NOW + timedelta(seconds=300)) == []
    assert len(registrar.expire(NOW + timedelta(seconds=300))) == 1
    assert registrar.count(NOW) == 0


def test_several_contacts_and_their_removal() -> None:
    registrar = Registrar()
    register(registrar, PHONE)
    outcome = register(registrar, OTHER, call_id="two")
    assert len(outcome.headers) == 2
    gone = register(registrar, PHONE + ";expires=0", cseq=2)
    assert [b.contact for b in gone.removed] == ["sip:100@10.0.0.1:5060"]
    assert len(registrar.contacts(EXTENSION.id, NOW)) == 1
    everything = register(registrar, "Contact: *", "Expires: 0", call_id="three")
    assert everything.status == 200 and len(everything.removed) == 1
    assert registrar.contacts(EXTENSION.id, NOW) == []


def test_a_star_needs_expires_zero() -> None:
    assert register(Registrar(), "Contact: *", "Expires: 60").status == 400


def test_too_short_is_423_with_the_minimum() -> None:
    outcome = register(Registrar(), PHONE, "Expires: 10")
    assert (outcome.status, outcome.headers) == (423, [("Min-Expires", "60")])


def test_an_overtaken_register_changes_nothing() -> None:
    registrar = Registrar()
    register(registrar, PHONE, cseq=5)
    assert register(registrar, PHONE + ";expires=0", cseq=5).status == 500
    assert register(registrar, PHONE + ";expires=0", cseq=4).status == 500
    assert len(registrar.contacts(EXTENSION.id, NOW)) == 1


def test_a_query_lists_and_changes_nothing() -> None:
    registrar = Registrar()
    register(registrar, PHONE)
    outcome = register(registrar, at=NOW + timedelta(seconds=600))
    assert outcome.headers == [("Contact", "<sip:100@10.0.0.1:5060>;expires=3000")]
    assert outcome.saved == [] and outcome.removed == []


def test_an_extension_has_only_so_many_phones() -> None:
    registrar = Registrar()
    for number in range(MAX_CONTACTS):
        assert register(registrar, f"Contact: <sip:100@10.0.1.{number}>", call_id=str(number)).status == 200
    assert register(registrar, "Contact: <sip:100@10.0.2.1>", call_id="more").status == 403
    assert registrar.count(NOW) == MAX_CONTACTS


def test_what_was_stored_is_there_again() -> None:
    registrar = Registrar()
    saved = register(registrar, PHONE).saved
    later = Registrar()
    later.load(saved)
    assert later.contacts(EXTENSION.id, NOW) == saved
