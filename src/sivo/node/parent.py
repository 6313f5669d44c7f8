"""Ties a process to the life of its parent, so that a killed supervisor leaves nothing behind."""

from __future__ import annotations

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1


def die_with_parent(expected_parent: int, signum: int = signal.SIGTERM) -> None:
    """Ask the kernel for ``signum`` when the parent dies (prctl(2), PR_SET_PDEATHSIG; Linux only).

    The parent may be gone already: then its pid is no longer ``expected_parent`` and the signal is sent at once.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signum, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != expected_parent:
        os.kill(os.getpid(), signum)
