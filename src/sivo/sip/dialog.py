"""Dialogs (RFC 3261 §12): tags, CSeq numbers, route set and remote target of both sides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from sivo.sip.address import NameAddr
from sivo.sip.errors import OutOfOrder, SipParseError
from sivo.sip.message import Request, Response
from sivo.sip.peer import Peer, unbracketed
from sivo.sip.uri import Uri

#: Requests that refresh the target and therefore carry our Contact (§12.2.1, RFC 3311, RFC 3515, RFC 6665).
_WITH_CONTACT = ("INVITE", "UPDATE", "REFER", "SUBSCRIBE", "NOTIFY")


class DialogId(NamedTuple):
    """What identifies a dialog on our side (§12)."""

    call_id: str
    local_tag: str
    remote_tag: str


class DialogState(StrEnum):
    EARLY = "early"
    CONFIRMED = "confirmed"
    ENDED = "ended"


def dialog_id_of(message: Request | Response) -> DialogId:
    """The dialog of a *received* message; a missing tag (RFC 2543 peers, no dialog) is an empty string."""
    ours, theirs = (message.to, message.from_) if isinstance(message, Request) else (message.from_, message.to)
    return DialogId(message.call_id, ours.tag or "", theirs.tag or "")


class Dialog:
    """One dialog.

    ``local`` and ``remote`` are From/To addresses without tags; ``contact`` is our Contact as it is sent;
    ``local_cseq`` the last number we used, ``remote_cseq`` the last one received (None: none yet). ``flow``, when set,
    is where requests go while there is no route set: the source address of a peer behind NAT or of a connection.
    """

    def __init__(
        self,
        id_: DialogId,
        *,
        state: DialogState,
        local: NameAddr,
        remote: NameAddr,
        remote_target: Uri,
        route_set: Iterable[NameAddr] = (),
        local_cseq: int = 0,
        remote_cseq: int | None = None,
        contact: str | None = None,
        flow: Peer | None = None,
    ) -> None:
        self.id = id_
        self.state = state
        self.local = local.with_tag(None)
        self.remote = remote.with_tag(None)
        self.remote_target = remote_target
        self.route_set = tuple(route_set)
        self.local_cseq = local_cseq
        self.remote_cseq = remote_cseq
        self.contact = contact
        self.flow = flow
        #: From and To of our requests: the same in all of them.
        self._shown: tuple[str, str] | None = None

    # --- how dialogs begin (§12.1) --------------------------------------------------------------------------------

    @classmethod
    def uas(cls, request: Request, response: Response, source: Peer) -> Dialog:
        """From an INVITE received from ``source`` and our 1xx (early) or 2xx (confirmed) with its To tag.

        Raises SipParseError if the INVITE has no usable Contact. A peer whose Via does not show the address that it
        sends from is behind NAT: ``flow`` is set to ``source``.
        """
        via = request.via
        behind_nat = unbracketed(via.host) != source.host or source.transport != "UDP"
        return cls(
            DialogId(request.call_id, response.to.tag or "", request.from_.tag or ""),
            state=DialogState.CONFIRMED if response.is_success else DialogState.EARLY,
            local=request.to,
            remote=request.from_,
            remote_target=_target(request),
            route_set=request.record_routes,
            remote_cseq=request.cseq[0],
            contact=response.headers.get("Contact"),
            flow=source if behind_nat else None,
        )

    @classmethod
    def uac(cls, request: Request, response: Response) -> Dialog:
        """From an INVITE sent and a 1xx or 2xx received with a To tag; each To tag is a dialog of its own (forks).

        Raises SipParseError if there is no To tag or, in a 2xx, no usable Contact. An early dialog without a Contact
        has the Request-URI as its target until it is confirmed.
        """
        if not response.to.tag:
            raise SipParseError("no tag, so no dialog", "To")
        has_target = response.is_success or bool(response.contacts)
        return cls(
            DialogId(request.call_id, request.from_.tag or "", response.to.tag),
            state=DialogState.CONFIRMED if response.is_success else DialogState.EARLY,
            local=request.from_,
            remote=response.to,
            remote_target=_target(response) if has_target else request.uri,
            route_set=reversed(response.record_routes),
            local_cseq=request.cseq[0],
            contact=request.headers.get("Contact"),
        )

    def confirm(self, response: Response) -> None:
        """The 2xx of an early dialog: on the UAC side the route set is computed anew (§13.2.2.4).

        On the UAS side (our own 2xx) only the state changes.
        """
        if self.state is DialogState.ENDED:
            return
        self.state = DialogState.CONFIRMED
        if response.from_.tag == self.id.local_tag:  # we were the caller
            self.remote_target = _target(response)
            self.route_set = tuple(reversed(response.record_routes))
        else:
            self.contact = response.headers.get("Contact") or self.contact

    def end(self) -> None:
        """A BYE was sent or received, or the early dialog got its final answer."""
        self.state = DialogState.ENDED

    # --- requests in the dialog (§12.2) ---------------------------------------------------------------------------

    def request(
        self,
        method: str,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        content_type: str = "application/sdp",
    ) -> Request:
        """The next request of ours. Use :meth:`ack` for ACK and the layer's cancel for CANCEL."""
        self.local_cseq += 1
        request = self._build(method, self.local_cseq)
        if self.contact is not None and method in _WITH_CONTACT:
            request.headers.add("Contact", self.contact)
        for name, value in headers:
            request.headers.add(name, value)
        if body:
            request.set_body(body, content_type)
        return request

    def ack(self, response: Response, body: bytes = b"", content_type: str = "application/sdp") -> Request:
        """The ACK of a 2xx to our INVITE (§13.2.2.4): the INVITE's number; give it to the layer's ``acknowledge``."""
        request = self._build("ACK", response.cseq[0])
        if body:
            request.set_body(body, content_type)
        return request

    def _build(self, method: str, cseq: int) -> Request:
        uri, routes = self._routing()
        request = Request(method, uri)
        fields = request.headers
        fields.add("Max-Forwards", "70")
        for route in routes:
            fields.add("Route", route)
        if not self._shown:
            ours, theirs = self.local.with_tag(self.id.local_tag), self.remote.with_tag(self.id.remote_tag or None)
            self._shown = (str(ours), str(theirs))
        fields.add("From", self._shown[0])
        fields.add("To", self._shown[1])
        fields.add("Call-ID", self.id.call_id)
        fields.add("CSeq", f"{cseq} {method}")
        return request

    def _routing(self) -> tuple[Uri, list[str]]:
        """Request-URI and Route headers; a strict router in front takes the Request-URI's place (§12.2.1.1)."""
        target = self.remote_target.without_headers()
        if not self.route_set or self.route_set[0].uri.loose:
            return target, [str(route) for route in self.route_set]
        strict = self.route_set[0].uri.without_headers()
        return strict, [*(str(route) for route in self.route_set[1:]), f"<{target}>"]

    @property
    def destination(self) -> Peer:
        """Where our requests go: the first route, else ``flow``, else the remote target."""
        if self.route_set:
            return self.route_set[0].uri.peer()
        return self.flow or self.remote_target.peer()

    def receive(self, request: Request) -> None:
        """Take note of a request received in this dialog (§12.2.2). Raises OutOfOrder: answer it with 500.

        INVITE and UPDATE refresh the target. ACK and CANCEL carry the number of their INVITE and are not counted.
        """
        if request.method in ("ACK", "CANCEL"):
            return
        number = request.cseq[0]
        if self.remote_cseq is not None and number < self.remote_cseq:
            raise OutOfOrder(number, self.remote_cseq)
        self.remote_cseq = number
        if request.method in ("INVITE", "UPDATE"):
            self._retarget(request)

    def refresh(self, response: Response) -> None:
        """A 2xx to our re-INVITE or UPDATE refreshes the target (§12.2.1.2)."""
        if response.is_success and response.cseq[1] in ("INVITE", "UPDATE"):
            self._retarget(response)

    def _retarget(self, message: Request | Response) -> None:
        if message.contacts:
            self.remote_target = _target(message)

    # --- durable dialogs ------------------------------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        """Everything, as JSON values; :meth:`load` makes the same dialog of it."""
        return {
            "id": list(self.id),
            "state": str(self.state),
            "local": str(self.local),
            "remote": str(self.remote),
            "remote_target": str(self.remote_target),
            "route_set": [str(route) for route in self.route_set],
            "local_cseq": self.local_cseq,
            "remote_cseq": self.remote_cseq,
            "contact": self.contact,
            "flow": None if self.flow is None else list(self.flow),
        }

    @classmethod
    def load(cls, stored: Mapping[str, Any]) -> Dialog:
        """The dialog that :meth:`dump` described. Raises SipParseError or KeyError if it did not."""
        return cls(
            DialogId(*stored["id"]),
            state=DialogState(stored["state"]),
            local=NameAddr.parse(stored["local"]),
            remote=NameAddr.parse(stored["remote"]),
            remote_target=Uri.parse(stored["remote_target"]),
            route_set=[NameAddr.parse(route) for route in stored["route_set"]],
            local_cseq=stored["local_cseq"],
            remote_cseq=stored["remote_cseq"],
            contact=stored["contact"],
            flow=None if stored["flow"] is None else Peer(*stored["flow"]),
        )

    def __repr__(self) -> str:
        return f"<Dialog {self.id.call_id} {self.state}>"


def _target(message: Request | Response) -> Uri:
    contacts = message.contacts
    if not contacts or not contacts[0].uri.is_sip:
        raise SipParseError("no SIP address to send requests to", "Contact")
    return contacts[0].uri
