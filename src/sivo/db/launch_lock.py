"""One launcher at a time on one data directory, and a second one is told which process holds it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from sivo.base.errors import SivoError, register

HELD = register("POSTGRES_HELD", 503)


def held_by(pid: int | str, where: Path) -> SivoError:
    """The refusal, with the holder's pid."""
    return SivoError(
        HELD,
        f"the data is in use by process {pid}",
        where=str(where),
        remedy="stop that process first, or use another SIVO_HOME",
    )


class LaunchLock:
    """An advisory lock on a file; the kernel drops it when we die, so it is never stale."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def take(self) -> None:
        """Take it or raise :class:`SivoError` POSTGRES_HELD naming the pid of the holder."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise held_by(pid, self._path.parent) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Give it back; nothing happens when it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
