"""Session timers (RFC 4028): who refreshes a session, how often, and when it counts as dead. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from sivo.sip.errors import SipParseError
from sivo.sip.grammar import Params, parse_number, parse_params
from sivo.sip.message import Message, Request, Response

#: Seconds: what we ask for, and the least that we accept (§4, §5).
INTERVAL, MINIMUM = 1800, 90
_MOST = 2**31


class TooSmallError(SipParseError):
    """Answer it with 422 and ``Min-SE: 90`` (§9)."""

    def __init__(self) -> None:
        super().__init__(f"less than {MINIMUM} seconds", "Session-Expires", sip_status=422)


@dataclass(frozen=True, slots=True)
class SessionTerms:
    """What two sides agreed on: ``interval`` seconds, and whether we are the one who refreshes."""

    interval: int
    ours: bool

    @property
    def refresh_after(self) -> float:
        """Seconds until our refresh is due (§10)."""
        return self.interval / 2

    @property
    def dead_after(self) -> float:
        """Seconds without a refresh after which a BYE is due (§10)."""
        return self.interval - min(32.0, self.interval / 3)


def as_server(request: Request) -> SessionTerms:
    """Our answer to an INVITE or UPDATE (§9). Raises TooSmallError, and SipParseError for unreadable headers."""
    wanted, refresher = _expires(request)
    least = max(MINIMUM, _min_se(request))
    speaks = supports_timer(request)
    if wanted is None:
        return SessionTerms(max(INTERVAL, least), ours=True)
    if wanted < MINIMUM:
        raise TooSmallError
    return SessionTerms(max(min(wanted, INTERVAL), min(least, wanted)), ours=refresher == "uas" or not speaks)


def server_headers(terms: SessionTerms) -> list[tuple[str, str]]:
    """For the 2xx: who has to refresh must be told so (§9)."""
    fields = [("Session-Expires", f"{terms.interval};refresher={'uas' if terms.ours else 'uac'}")]
    return fields if terms.ours else [*fields, ("Require", "timer")]


def client_headers(terms: SessionTerms | None = None) -> list[tuple[str, str]]:
    """For an INVITE of ours, or (with ``terms``) for the refresh of a session (§7.1, §7.4)."""
    if terms is None:
        return [("Session-Expires", str(INTERVAL)), ("Min-SE", str(MINIMUM))]
    role = "uac" if terms.ours else "uas"
    return [("Session-Expires", f"{terms.interval};refresher={role}"), ("Min-SE", str(MINIMUM)), ("Supported", "timer")]


def as_client(response: Response) -> SessionTerms | None:
    """What a 2xx to our INVITE or UPDATE agreed to; None: this session does not run out (§7.2)."""
    try:
        interval, refresher = _expires(response)
    except SipParseError:
        return None
    return None if interval is None else SessionTerms(max(interval, MINIMUM), ours=refresher != "uas")


def least_of(response: Response) -> int:
    """The interval that a 422 asks for (§7.3)."""
    return max(_min_se(response), MINIMUM)


def supports_timer(message: Message) -> bool:
    """Whether the sender understands session timers."""
    return "timer" in (tag.lower() for name in ("Supported", "Require") for tag in message.headers.all(name))


def _expires(message: Message) -> tuple[int | None, str]:
    text = message.headers.get("Session-Expires")
    if text is None:
        return None, ""
    seconds, params = _value(text, "Session-Expires", _MOST)
    return seconds, (params.get("refresher") or "").lower()


def _min_se(message: Message) -> int:
    text = message.headers.get("Min-SE")
    try:
        return 0 if text is None else min(_value(text, "Min-SE", _MOST)[0], 7200)
    except SipParseError:
        return 0


def _value(text: str, header: str, most: int) -> tuple[int, Params]:
    number, _, params = text.partition(";")
    return parse_number(number, header, most), parse_params(params, header)
