"""Who guesses passwords: slowed after three wrong ones, not heard after ten, by source and by account. Pure.

A phone that was right from a source before stays heard there: its office shares an address with whoever guesses, and
an account that is guessed at from elsewhere still works where it belongs. Memory is bounded; the oldest is forgotten.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from uuid import UUID

#: Seconds in which wrong passwords are counted, and how many of them are free, and how many are too many.
WINDOW = 300.0
FREE, MOST = 3, 10
#: Seconds: the first ban and the longest; each one is twice as long as the one before.
FIRST_BAN, LONGEST_BAN = 60.0, 3600.0
#: The longest wait between two guesses before a ban.
LONGEST_WAIT = 30.0
#: How long a right password is remembered for its source.
TRUST_SECONDS = 86_400.0
MEMORY = 20_000

Account = tuple[UUID, str]


@dataclass(frozen=True, slots=True)
class Ban:
    """``kind`` is ``source`` or ``account``; ``seconds`` from now."""

    kind: str
    subject: str
    tenant_id: UUID
    source: str
    account: str
    attempts: int
    seconds: float


@dataclass(slots=True)
class _Record:
    attempts: int = 0
    last: float = 0.0
    not_before: float = 0.0
    bans: int = 0


class Guessing:
    """Counts of one node. Times are seconds of one monotonic clock."""

    def __init__(self, memory: int = MEMORY) -> None:
        self._memory = memory
        self._records: OrderedDict[object, _Record] = OrderedDict()
        self._trusted: OrderedDict[tuple[str, Account], float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._records) + len(self._trusted)

    def heard(self, source: str, account: Account, now: float) -> bool:
        """Whether a request with credentials is looked at at all."""
        trusted = self._trusted.get((source, account))
        if trusted is not None and now - trusted < TRUST_SECONDS:
            return True
        return all(
            record is None or now >= record.not_before
            for record in (self._records.get(source), self._records.get(account))
        )

    def right(self, source: str, account: Account, now: float) -> None:
        """A right password: from here this account is heard, whatever others do."""
        self._trusted[source, account] = now
        self._trusted.move_to_end((source, account))
        if len(self._trusted) > self._memory:
            self._trusted.popitem(last=False)

    def wrong(self, source: str, account: Account, now: float) -> list[Ban]:
        """A wrong password; gives the bans that it brought about."""
        bans = []
        for kind, key, subject in (("source", source, source), ("account", account, account[1])):
            record = self._record(key, now)
            record.attempts += 1
            record.last = now
            if record.attempts >= MOST:
                seconds = min(FIRST_BAN * 2**record.bans, LONGEST_BAN)
                bans.append(Ban(kind, subject, account[0], source, account[1], record.attempts, seconds))
                record.bans += 1
                record.attempts = 0
                record.not_before = now + seconds
            elif record.attempts > FREE:
                record.not_before = now + min(2.0 ** (record.attempts - FREE - 1), LONGEST_WAIT)
        return bans

    def lift(self, kind: str, subject: str, tenant_id: UUID) -> None:
        """Forget what is known of a source, or of an account."""
        self._records.pop(subject if kind == "source" else (tenant_id, subject), None)

    def _record(self, key: object, now: float) -> _Record:
        record = self._records.get(key)
        if record is None:
            record = self._records[key] = _Record()
            if len(self._records) > self._memory:
                self._records.popitem(last=False)
        elif now - record.last > WINDOW and now >= record.not_before:
            record.attempts = 0
            if now - record.last > LONGEST_BAN * 2:
                record.bans = 0
        self._records.move_to_end(key)
        return record
