"""REFER as it is read (RFC 3515 §2.1), and the NOTIFYs that tell how it goes (§2.4.4)."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

from sivo.calls.legs import Leg
from sivo.sip.address import NameAddr
from sivo.sip.dialog import DialogId
from sivo.sip.errors import SipParseError
from sivo.sip.message import Request, Response
from sivo.sip.transactions import ClientTransaction

SIPFRAG = "message/sipfrag;version=2.0"
#: Seconds that the implicit subscription may live; longer than any transfer may ring.
EXPIRES = 60


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a phone asks for: the user to be called, and the dialog that is to be taken over (RFC 3891), ours first."""

    to: str
    replaces: DialogId | None
    #: False: it does not want to be told (RFC 4488).
    notify: bool


def read(request: Request) -> Wanted:
    """What a REFER wants; raises SipParseError."""
    values = request.headers.all("Refer-To")
    if len(values) != 1:
        raise SipParseError(f"{len(values)} of them; a REFER has one", "Refer-To")
    uri = NameAddr.parse(values[0]).uri
    if not uri.is_sip or not uri.user:
        raise SipParseError("no SIP address with a user", "Refer-To")
    replaces = None
    for pair in uri.headers.split("&"):
        name, _, value = pair.partition("=")
        if name.lower() == "replaces":
            replaces = dialog(unquote(value))
    return Wanted(uri.user, replaces, (request.headers.get("Refer-Sub") or "").strip().lower() != "false")


def dialog(value: str) -> DialogId:
    """The dialog of a Replaces value: its to-tag is the one that we gave (RFC 3891 §3)."""
    call_id, *params = value.split(";")
    tags = {name.strip().lower(): tag.strip() for name, _, tag in (one.partition("=") for one in params)}
    if not call_id.strip() or not tags.get("to-tag") or not tags.get("from-tag"):
        raise SipParseError("no call, to-tag and from-tag", "Replaces")
    return DialogId(call_id.strip(), tags["to-tag"], tags["from-tag"])


class Notifier:
    """Tells the phone that asked; says the end once."""

    def __init__(self, leg: Leg, refer: Request, wanted: bool) -> None:
        self._leg = leg
        self._event = f"refer;id={refer.cseq[0]}"
        self._open = wanted

    def tell(self, status: int, phrase: str) -> None:
        """How the call to the target stands."""
        leg = self._leg
        if not self._open or leg.ended or leg.dialog is None:
            return
        final = status >= 200
        self._open = not final
        state = "terminated;reason=noresource" if final else f"active;expires={EXPIRES}"
        headers = [("Event", self._event), ("Subscription-State", state)]
        body = f"SIP/2.0 {status} {phrase}\r\n".encode()
        notify = leg.dialog.request("NOTIFY", headers, body, SIPFRAG)
        leg.sip.ask(notify, leg.dialog.destination, _unheeded)


def _unheeded(_txn: ClientTransaction, _response: Response | None) -> None:
    """A phone that does not want to know any more changes nothing."""
