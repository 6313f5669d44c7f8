"""Where the phones are: the registrar of every tenant domain (RFC 3261 §10.3), answering from memory.

Pure: requests and time in, bindings and an outcome out. What changed is written behind by its owner
(:mod:`sivo.routing.bindings` has the SQL), and read back when the node starts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from sivo.routing.directory import Extension
from sivo.sip.address import NameAddr
from sivo.sip.message import Request
from sivo.sip.peer import Peer
from sivo.sip.uri import Uri

#: Seconds: what a phone gets that asks for nothing, and the bounds for one that does.
DEFAULT_EXPIRES = 3600
MIN_EXPIRES = 60
MAX_EXPIRES = 7200
#: Phones of one extension.
MAX_CONTACTS = 10


@dataclass(frozen=True, slots=True)
class Binding:
    """One phone of an extension. ``source`` is where its packets come from, and where calls to it are sent."""

    tenant_id: UUID
    extension_id: UUID
    extension: str
    contact: str
    source: Peer
    sip_call_id: str
    cseq: int
    registered_at: datetime
    expires_at: datetime
    user_agent: str = ""
    #: The digest user name that it registered with.
    account: str = ""

    @property
    def uri(self) -> Uri:
        """The Request-URI of a call to this phone."""
        return Uri.parse(self.contact)


@dataclass(slots=True)
class Outcome:
    """The answer to a REGISTER: status with headers, and what has to be written down."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    saved: list[Binding] = field(default_factory=list)
    removed: list[Binding] = field(default_factory=list)


class Registrar:
    """All bindings of this node."""

    def __init__(self) -> None:
        self._bindings: dict[UUID, dict[str, Binding]] = {}

    def load(self, bindings: list[Binding]) -> None:
        """Take over what was stored when the node starts."""
        for binding in bindings:
            self._bindings.setdefault(binding.extension_id, {})[binding.contact] = binding

    def contacts(self, extension_id: UUID, now: datetime) -> list[Binding]:
        """Phones that can be rung, the newest first."""
        known = self._bindings.get(extension_id, {}).values()
        return sorted((b for b in known if b.expires_at > now), key=lambda b: b.registered_at, reverse=True)

    def count(self, now: datetime) -> int:
        """Valid bindings of the whole node."""
        return sum(b.expires_at > now for known in self._bindings.values() for b in known.values())

    def expire(self, now: datetime) -> list[Binding]:
        """Forget what has run out, and say what that was."""
        return self.forget(lambda binding: binding.expires_at <= now)

    def forget(self, is_gone: Callable[[Binding], bool]) -> list[Binding]:
        """Forget some bindings, and say which those were."""
        gone = [b for known in self._bindings.values() for b in known.values() if is_gone(b)]
        for binding in gone:
            self._remove(binding)
        return gone

    def register(
        self, extension: Extension, request: Request, source: Peer, now: datetime, account: str = ""
    ) -> Outcome:
        """Carry out a REGISTER authenticated as ``account``. All its contacts take effect, or none of them (step 6, 7).

        Raises SipParseError for headers that cannot be read.
        """
        known = self._bindings.setdefault(extension.id, {})
        sequence = request.cseq[0]
        header_expires = _seconds(request.headers.get("Expires"))
        if (request.headers.get("Contact") or "").strip() == "*":
            return self._remove_all(extension, request, header_expires, now)
        wanted: list[tuple[str, int]] = []
        for contact in request.contacts:
            seconds = _expiry(contact, header_expires)
            if 0 < seconds < MIN_EXPIRES:
                return Outcome(423, [("Min-Expires", str(MIN_EXPIRES))])
            wanted.append((str(contact.uri), min(seconds, MAX_EXPIRES)))
        if any(_is_old(known.get(uri), request.call_id, sequence) for uri, _ in wanted):
            return Outcome(500)
        outcome = Outcome(200)
        for uri, seconds in wanted:
            self._apply(outcome, (extension, account), request, source, now, uri, seconds)
        if len(self.contacts(extension.id, now)) > MAX_CONTACTS:
            for binding in outcome.saved:
                self._remove(binding)
            return Outcome(403)
        outcome.headers = self._answer(extension, now)
        return outcome

    def _apply(
        self,
        outcome: Outcome,
        who: tuple[Extension, str],
        request: Request,
        source: Peer,
        now: datetime,
        uri: str,
        seconds: int,
    ) -> None:
        extension, account = who
        known = self._bindings.setdefault(extension.id, {})
        if seconds == 0:
            if uri in known:
                outcome.removed.append(known.pop(uri))
            return
        binding = Binding(
            tenant_id=extension.tenant_id,
            extension_id=extension.id,
            extension=extension.number,
            contact=uri,
            source=source,
            sip_call_id=request.call_id,
            cseq=request.cseq[0],
            registered_at=now,
            expires_at=now + timedelta(seconds=seconds),
            user_agent=(request.headers.get("User-Agent") or "")[:200],
            account=account,
        )
        known[uri] = binding
        outcome.saved.append(binding)

    def _remove_all(self, extension: Extension, request: Request, expires: int | None, now: datetime) -> Outcome:
        if expires != 0 or len(request.headers.all("Contact")) != 1:
            return Outcome(400)
        known = self._bindings.get(extension.id, {})
        if any(_is_old(binding, request.call_id, request.cseq[0]) for binding in known.values()):
            return Outcome(500)
        removed = list(known.values())
        known.clear()
        return Outcome(200, self._answer(extension, now), removed=removed)

    def _answer(self, extension: Extension, now: datetime) -> list[tuple[str, str]]:
        return [
            ("Contact", f"<{binding.contact}>;expires={max(1, round((binding.expires_at - now).total_seconds()))}")
            for binding in self.contacts(extension.id, now)
        ]

    def _remove(self, binding: Binding) -> None:
        known = self._bindings.get(binding.extension_id, {})
        known.pop(binding.contact, None)
        if not known:
            self._bindings.pop(binding.extension_id, None)


def _is_old(binding: Binding | None, call_id: str, sequence: int) -> bool:
    """A REGISTER of the same Call-ID that was overtaken by a later one (step 7)."""
    return binding is not None and binding.sip_call_id == call_id and sequence <= binding.cseq


def _expiry(contact: NameAddr, header: int | None) -> int:
    own = _seconds(contact.params.get("expires"))
    if own is not None:
        return own
    return header if header is not None else DEFAULT_EXPIRES


def _seconds(text: str | None) -> int | None:
    """Delta-seconds; None when there are none (a malformed value counts as none, §10.2.1.1)."""
    value = (text or "").strip()
    return min(int(value), 2**31) if value.isascii() and value.isdigit() and len(value) < 12 else None
