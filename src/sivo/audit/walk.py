"""Going through a chain once, link by link, and comparing its end with what is known outside the database."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sivo.audit.chain import Fault, Link, Verifier, check_link, signed_bytes
from sivo.audit.checkpoints import Checkpoint, Checkpoints, DamagedCheckpointError
from sivo.audit.heads import START, Head


@dataclass(frozen=True, slots=True)
class Report:
    """What was found in one chain; ``head`` is the hash of its last entry in hex."""

    chain: UUID
    entries: int
    head: str
    checkpoint: int | None
    faults: tuple[Fault, ...]

    @property
    def ok(self) -> bool:
        """Nothing is wrong."""
        return not self.faults

    def body(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "chain": str(self.chain),
            "ok": self.ok,
            "entries": self.entries,
            "head": self.head,
            "checkpoint": self.checkpoint,
            "faults": [{"entry": fault.seq, "what": fault.what} for fault in self.faults],
        }


class Walk:
    """Takes the links in order, beginning after ``start``; ``also`` finds what is wrong with one link's content."""

    def __init__(
        self,
        chain: UUID,
        verifier: Verifier,
        checkpoints: Checkpoints,
        also: Callable[[Link], Iterable[str]],
        start: Head = START,
    ) -> None:
        self.chain = chain
        self.faults: list[Fault] = []
        self.count = 0
        self.start = self.end = start
        self.checkpoint: Checkpoint | None = None
        self._damaged = False
        self._verifier = verifier
        self._also = also
        self._hash_at_checkpoint: bytes | None = None
        try:
            self.checkpoint = checkpoints.read(chain)
        except DamagedCheckpointError as error:
            self._damaged = True
            self.faults.append(Fault(chain, 0, str(error)))
        self._pass(start)

    def take(self, one: Link) -> None:
        """The next entry in the order of the database."""
        self.count += 1
        self.faults += check_link(one, self.end.hash, self.end.seq + 1, self._verifier)
        try:
            self.faults += [Fault(self.chain, one.seq, what) for what in self._also(one)]
        except (ValueError, KeyError, TypeError):
            self.faults.append(Fault(self.chain, one.seq, "its content is not an entry"))
        self.end = Head(one.seq, one.hash)
        self._pass(self.end)

    def _pass(self, place: Head) -> None:
        if self.checkpoint is not None and place.seq == self.checkpoint.seq:
            self._hash_at_checkpoint = place.hash

    def checkpoint_faults(self) -> list[Fault]:
        """What the checkpoint outside the database knows otherwise; to be asked after the last link."""
        known = self.checkpoint
        if known is None:
            if self.end.seq and not self._damaged:
                return [self._fault(self.end.seq, "there is no checkpoint of this chain outside the database")]
            return []
        if not self._verifier.verify(
            known.key_id, signed_bytes(bytes.fromhex(known.hash)), bytes.fromhex(known.signature)
        ):
            return [self._fault(known.seq, "the checkpoint was not signed by the platform's key")]
        if known.seq < self.start.seq:
            return []  # a write that was lost left an older checkpoint, and its entry was pruned since
        if self._hash_at_checkpoint is None:
            return [
                self._fault(
                    known.seq, f"the checkpoint outside the database knows entry {known.seq}, the database does not"
                )
            ]
        if self._hash_at_checkpoint.hex() != known.hash:
            what = "the entry is not the one that the checkpoint outside the database knows"
            return [self._fault(known.seq, what)]
        return []

    def report(self, more: Iterable[Fault]) -> Report:
        """What was found, with what others found."""
        known = self.checkpoint.seq if self.checkpoint else None
        return Report(self.chain, self.count, self.end.hash.hex(), known, (*self.faults, *more))

    def _fault(self, seq: int, what: str) -> Fault:
        return Fault(self.chain, seq, what)
