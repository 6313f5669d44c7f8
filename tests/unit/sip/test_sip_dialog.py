"""Dialogs: RFC 3261 §12."""

import json

import pytest
from sip_bench import PHONE, answer_bytes, our_request, request_bytes

from sivo.sip import Dialog, DialogState, OutOfOrder, Peer, Request, Response, SipParseError, dialog_id_of, parse
from sivo.sip.message import response_to


def received(method: str = "INVITE", **fields: object) -> Request:
    request = parse(request_bytes(method, **fields))  # type: ignore[arg-type]
    assert isinstance(request, Request)
    return request


def our_answer(request: Request, status: int = 200) -> Response:
    response = response_to(request, status, to_tag="us")
    response.headers.add("Contact", "<sip:agent@192.0.2.1:5060>")
    return response


def their_answer(request: Request, status: int = 200, to_tag: str = "callee", *extra: str) -> Response:
    response = parse(answer_bytes(request, status, to_tag, extra))
    assert isinstance(response, Response)
    return response


def sent_invite() -> Request:
    invite = our_request()
    invite.headers.prepend("Via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx")
    return invite


def test_uas_side() -> None:
    invite = received(extra=["Record-Route: <sip:p1;lr>, <sip:p2;lr>"], cseq=7)
    dialog = Dialog.uas(invite, our_answer(invite), PHONE)
    assert dialog.id == ("call-1", "us", "caller")
    assert dialog.state is DialogState.CONFIRMED
    assert str(dialog.remote_target) == "sip:200@192.0.2.10:5062"
    assert [str(route.uri) for route in dialog.route_set] == ["sip:p1;lr", "sip:p2;lr"]
    assert dialog.remote_cseq == 7
    bye = dialog.request("BYE")
    assert bye.start_line == "BYE sip:200@192.0.2.10:5062 SIP/2.0"
    assert bye.headers.all("Route") == ["<sip:p1;lr>", "<sip:p2;lr>"]
    assert (str(bye.from_), str(bye.to)) == ("<sip:100@t1.example>;tag=us", "<sip:200@t1.example>;tag=caller")
    assert (bye.cseq, bye.max_forwards) == ((1, "BYE"), 70)
    assert "Contact" not in bye.headers
    assert dialog.request("INFO").cseq == (2, "INFO")


def test_requests_in_the_dialog_are_found_by_their_tags() -> None:
    invite = received()
    dialog = Dialog.uas(invite, our_answer(invite), PHONE)
    assert dialog_id_of(received("BYE", cseq=2, to_tag="us")) == dialog.id
    assert dialog_id_of(received("BYE", cseq=2)) != dialog.id


def test_uac_side_reverses_the_route() -> None:
    invite = sent_invite()
    ok = their_answer(invite, 200, "callee", "Record-Route: <sip:p3;lr>", "Record-Route: <sip:p2;lr>, <sip:p1;lr>")
    dialog = Dialog.uac(invite, ok)
    assert [str(route.uri) for route in dialog.route_set] == ["sip:p1;lr", "sip:p2;lr", "sip:p3;lr"]
    assert dialog.destination == Peer("p1", 5060)
    assert dialog.local_cseq == 1
    assert dialog_id_of(ok) == dialog.id
    reinvite = dialog.request("INVITE", body=b"v=0", content_type="application/sdp")
    assert reinvite.cseq == (2, "INVITE")
    assert reinvite.headers.get("Contact") == "<sip:100@192.0.2.1:5060>"
    ack = dialog.ack(ok)
    assert (ack.method, ack.cseq) == ("ACK", (1, "ACK"))
    assert dialog.local_cseq == 2


def test_a_strict_router_takes_the_place_of_the_request_uri() -> None:
    invite = sent_invite()
    ok = their_answer(invite, 200, "callee", "Record-Route: <sip:loose;lr>, <sip:strict>")
    bye = Dialog.uac(invite, ok).request("BYE")
    assert str(bye.uri) == "sip:strict"
    assert bye.headers.all("Route") == ["<sip:loose;lr>", "<sip:200@192.0.2.10:5062>"]


def test_early_dialogs_are_confirmed_and_their_route_computed_anew() -> None:
    invite = sent_invite()
    dialog = Dialog.uac(invite, their_answer(invite, 180, "callee", "Record-Route: <sip:early;lr>"))
    assert dialog.state is DialogState.EARLY
    dialog.confirm(their_answer(invite, 200, "callee", "Record-Route: <sip:late;lr>"))
    assert dialog.state is DialogState.CONFIRMED
    assert [str(route.uri) for route in dialog.route_set] == ["sip:late;lr"]


def test_forks_are_dialogs_of_their_own() -> None:
    invite = sent_invite()
    one, two = (Dialog.uac(invite, their_answer(invite, 200, tag)) for tag in ("one", "two"))
    assert one.id != two.id
    assert one.ack(their_answer(invite, 200, "one")).to.tag == "one"


def test_our_own_early_dialog_is_confirmed_by_our_200() -> None:
    invite = received()
    dialog = Dialog.uas(invite, our_answer(invite, 180), PHONE)
    assert dialog.state is DialogState.EARLY
    target = dialog.remote_target
    dialog.confirm(our_answer(invite, 200))
    assert (dialog.state, dialog.remote_target) == (DialogState.CONFIRMED, target)
    dialog.end()
    dialog.confirm(our_answer(invite, 200))
    assert dialog.state is DialogState.ENDED


def test_cseq_rules() -> None:
    invite = received(cseq=10)
    dialog = Dialog.uas(invite, our_answer(invite), PHONE)
    dialog.receive(received("ACK", cseq=10, to_tag="us"))
    dialog.receive(received("INFO", cseq=15, to_tag="us"))  # gaps are allowed
    assert dialog.remote_cseq == 15
    with pytest.raises(OutOfOrder):
        dialog.receive(received("INFO", cseq=14, to_tag="us"))
    assert dialog.remote_cseq == 15


def test_the_first_request_of_the_callee_sets_its_number() -> None:
    invite = sent_invite()
    dialog = Dialog.uac(invite, their_answer(invite))
    assert dialog.remote_cseq is None
    dialog.receive(received("BYE", cseq=1))
    assert dialog.remote_cseq == 1


def test_target_refresh() -> None:
    invite = received()
    dialog = Dialog.uas(invite, our_answer(invite), PHONE)
    moved = received("INVITE", cseq=2, to_tag="us")
    moved.headers.set("Contact", "<sip:200@198.51.100.9:5070>")
    dialog.receive(moved)
    assert dialog.destination == Peer("198.51.100.9", 5070)
    info = received("INFO", cseq=3, to_tag="us")
    dialog.receive(info)
    assert dialog.destination == Peer("198.51.100.9", 5070)
    dialog.refresh(their_answer(sent_invite(), 200))
    assert dialog.destination == Peer("192.0.2.10", 5062)
    refusal = their_answer(sent_invite(), 486)
    refusal.headers.set("Contact", "<sip:elsewhere@198.51.100.66>")
    dialog.refresh(refusal)
    assert dialog.destination == Peer("192.0.2.10", 5062)


def test_a_peer_behind_nat_is_reached_by_its_flow_unless_there_is_a_route() -> None:
    nat = Peer("203.0.113.5", 40000)
    invite = received()
    dialog = Dialog.uas(invite, our_answer(invite), nat)
    assert dialog.destination == nat
    assert Dialog.uas(invite, our_answer(invite), PHONE).flow is None
    routed = received(extra=["Record-Route: <sip:192.0.2.99;lr>"])
    assert Dialog.uas(routed, our_answer(routed), nat).destination == Peer("192.0.2.99", 5060)


def test_no_contact_no_dialog() -> None:
    invite = received()
    invite.headers.remove("Contact")
    with pytest.raises(SipParseError, match="requests"):
        Dialog.uas(invite, our_answer(received()), PHONE)
    with pytest.raises(SipParseError, match="tag"):
        Dialog.uac(sent_invite(), their_answer(sent_invite(), 180, ""))


def test_a_dialog_survives_being_stored() -> None:
    invite = received(extra=["Record-Route: <sip:p1;lr>"], cseq=7)
    dialog = Dialog.uas(invite, our_answer(invite), Peer("203.0.113.5", 40000, "TCP", "flow"))
    dialog.request("INFO")
    again = Dialog.load(json.loads(json.dumps(dialog.dump())))
    assert again.dump() == dialog.dump()
    assert bytes(again.request("BYE")) == bytes(dialog.request("BYE"))
    assert again.flow == dialog.flow
