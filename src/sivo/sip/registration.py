"""Our own registration at a carrier (RFC 3261 §10.2): requests in time, what came of them. Sans-I/O."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sivo.sip.address import NameAddr
from sivo.sip.digest import DigestClient
from sivo.sip.errors import SipParseError
from sivo.sip.message import Request, Response, new_call_id, new_request
from sivo.sip.uri import Uri

#: Seconds that we ask for; before the end we refresh after this part of what we got.
EXPIRES, REFRESH = 600, 0.8
#: Seconds to wait after the first failure, doubling up to the second number.
RETRY, LONGEST_RETRY = 10.0, 300.0
_MOST_EXPIRES = 86_400


class RegistrationState(StrEnum):
    """How things stand with the carrier."""

    TRYING = "trying"
    REGISTERED = "registered"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Account:
    """Where and as whom we register."""

    domain: str
    username: str
    password: str
    port: int | None = None

    def __repr__(self) -> str:
        return f"Account({self.username}@{self.domain})"


class Registration:
    """One registration. ``due`` says when :meth:`request` is to be sent; ``until`` is the end of what the carrier gave.

    Times are seconds of one monotonic clock.
    """

    def __init__(self, account: Account, contact: str, now: float) -> None:
        self.account = account
        self.contact = contact
        self.state = RegistrationState.TRYING
        self.reason = ""
        self.due = now
        self.until: float | None = None
        self._client = DigestClient(account.username, account.password)
        self._call_id = new_call_id()
        self._cseq = 0
        self._expires = EXPIRES
        self._failures = 0

    def request(self, *, end: bool = False) -> Request:
        """The next REGISTER; with ``end`` the one that takes the registration back."""
        self._cseq += 1
        self.due = float("inf")  # until it is answered
        account = self.account
        identity = NameAddr(uri=Uri("sip", account.username, account.domain))
        return new_request(
            "REGISTER",
            Uri("sip", None, account.domain, account.port),
            from_=identity,
            to=identity,
            call_id=self._call_id,
            cseq=self._cseq,
            contact=self.contact,
            headers=[("Expires", "0" if end else str(self._expires))],
        )

    def answered(self, sent: Request, response: Response | None, now: float) -> Request | None:
        """Take the answer to ``sent`` (None: there was none); gives the request to send at once, if there is one."""
        if response is not None and response.status in (401, 407):
            again = self._client.authorise(sent, response)
            if again is not None:
                self._cseq = again.cseq[0]
                return again
        if response is not None and response.is_success:
            self._registered(response, now)
        elif response is not None and response.status == 423 and self._failures == 0:
            self._failures += 1
            self._expires = _seconds(response.headers.get("Min-Expires"), EXPIRES)
            return self.request()
        else:
            self._failed(response, now)
        return None

    def _registered(self, response: Response, now: float) -> None:
        granted = _seconds(response.headers.get("Expires"), self._expires)
        try:
            mine = [one for one in response.contacts if f"<{one.uri}>" == self.contact]
        except SipParseError:
            mine = []
        if mine:
            granted = _seconds(mine[0].params.get("expires"), granted)
        self.state, self.reason, self._failures = RegistrationState.REGISTERED, "", 0
        self.until = now + granted
        self.due = now + max(granted * REFRESH, 5.0)

    def _failed(self, response: Response | None, now: float) -> None:
        self.reason = "no answer" if response is None else f"{response.status} {response.reason}".strip()[:200]
        if self.until is None or now >= self.until or (response is not None and response.status in (401, 403, 407)):
            refused = response is not None and response.status < 500
            self.state = RegistrationState.REFUSED if refused else RegistrationState.TRYING
            self.until = None
        self.due = now + min(RETRY * 2**self._failures, LONGEST_RETRY)
        self._failures = min(self._failures + 1, 10)


def _seconds(text: str | None, otherwise: int) -> int:
    value = (text or "").strip()
    known = value.isascii() and value.isdigit() and len(value) < 10
    return min(max(int(value), 1), _MOST_EXPIRES) if known else otherwise
