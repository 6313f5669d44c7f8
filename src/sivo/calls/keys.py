"""Keys that a phone sends as SIP INFO (RFC 2976 in the manner of carriers): ``dtmf-relay`` with signal and duration,
``dtmf`` with the bare key."""

from __future__ import annotations

from sivo.calls.call import Call
from sivo.calls.legs import Leg
from sivo.calls.media_session import CALLEE, CALLER
from sivo.sip.message import Request, Response
from sivo.sip.transactions import ServerTransaction

RELAY, BARE = "application/dtmf-relay", "application/dtmf"
_KEYS = "0123456789*#ABCD"
#: Numbers for keys as some phones send them (RFC 4733 §3.2).
_NUMBERED = {"10": "*", "11": "#", "12": "A", "13": "B", "14": "C", "15": "D"}
_USUAL_MS = 100


def take(call: Call, leg: Leg, txn: ServerTransaction) -> Response:
    """Give the key of an INFO to media; the answer: 200, 415 for other bodies, 400 for what is no key."""
    request = txn.request
    if not request.body:
        return txn.response(200)
    if request.content_type not in (RELAY, BARE):
        return txn.response(415, headers=[("Accept", f"{RELAY}, {BARE}")])
    found = read(request)
    if found is None:
        return txn.response(400)
    if call.media is not None and not call.ended:
        call.media.take_digit(call.place_of(leg) or CALLER, *found)
    return txn.response(200)


def read(request: Request) -> tuple[str, int] | None:
    """Key and milliseconds in an INFO's body; None when it holds no key."""
    text = request.body.decode("latin-1")
    if request.content_type == BARE:
        key = _key(text)
        return (key, _USUAL_MS) if key else None
    fields = {name.strip().lower(): value for name, _, value in (line.partition("=") for line in text.splitlines())}
    key = _key(fields.get("signal", ""))
    duration = fields.get("duration", "").strip()
    known = duration.isascii() and duration.isdigit() and len(duration) <= 5
    return (key, int(duration) if known else _USUAL_MS) if key else None


def legs_with_sound(call: Call) -> set[str]:
    """Legs whose carrier sends keys as sound."""
    trunk = call.route.trunk
    if trunk is None or not trunk.keys_as_sound:
        return set()
    return {CALLER if call.caller_extension is None else CALLEE}


def _key(text: str) -> str:
    text = text.strip().upper()
    text = _NUMBERED.get(text, text)
    return text if len(text) == 1 and text in _KEYS else ""
