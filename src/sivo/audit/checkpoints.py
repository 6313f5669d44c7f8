"""Checkpoints: the last known head of every chain in a small file outside the database.

A ledger whose tail was cut off is in order by itself; only something that the database cannot reach can tell. One
file a chain, replaced atomically; a lost write leaves an older checkpoint, which is still a true one.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import UUID

from sivo.base import logs

_log = logs.get("audit")


class DamagedCheckpointError(Exception):
    """A checkpoint file that nobody of ours wrote like that."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Head of one chain as it was committed. Hash and signature in hex."""

    chain: str
    seq: int
    hash: str
    key_id: str
    signature: str


class Checkpoints:
    """A folder of checkpoints (mode 0700), shared by the processes of a node."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, checkpoint: Checkpoint) -> None:
        """Remember ``checkpoint`` unless a later one is there. Blocking, well below a millisecond.

        A damaged file stays as it is, for :func:`sivo.audit.verify.verify` to report.
        """
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._path(checkpoint.chain)
        with self._locked():
            try:
                known = _read(path)
            except DamagedCheckpointError:
                _log.error("checkpoint_damaged", chain=checkpoint.chain)
                return
            if known is not None and known.seq >= checkpoint.seq:
                return
            temporary = path.with_suffix(".new")
            temporary.write_text(json.dumps(asdict(checkpoint), sort_keys=True), encoding="utf-8")
            os.replace(temporary, path)

    def read(self, chain: UUID) -> Checkpoint | None:
        """The checkpoint of one chain, None when there is none. Raises :class:`DamagedCheckpointError`."""
        return _read(self._path(str(chain)))

    def forget(self, chain: UUID) -> None:
        """Remove the checkpoint of a chain that was deleted with its tenant."""
        self._path(str(chain)).unlink(missing_ok=True)

    def chains(self) -> list[UUID]:
        """Every chain that has a checkpoint."""
        return sorted(UUID(path.stem) for path in self._folder.glob("*.json"))

    def _path(self, chain: str) -> Path:
        return self._folder / f"{UUID(chain)}.json"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self._folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _read(path: Path) -> Checkpoint | None:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        found = Checkpoint(**json.loads(text))
        bytes.fromhex(found.hash), bytes.fromhex(found.signature)
    except (ValueError, TypeError, AttributeError) as error:
        raise DamagedCheckpointError("the checkpoint file outside the database is damaged") from error
    return found
