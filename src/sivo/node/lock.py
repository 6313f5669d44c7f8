"""One supervisor a data directory: an advisory lock whose file names the holder."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from sivo.base.errors import SivoError, register

NODE_LOCKED = register("NODE_LOCKED", 409)


class NodeLock:
    """Holds ``supervisor.lock`` for the life of the process; the kernel drops it even at kill -9."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def acquire(self) -> None:
        """Take the lock. Raises ``NODE_LOCKED`` naming the pid that holds it."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise SivoError(
                NODE_LOCKED,
                f"process {holder} already runs a node on this data",
                where=str(self._path.parent.parent),
                remedy=f"stop it (kill {holder}) or set SIVO_HOME to another directory",
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back; safe to call twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
