"""How a role tells its supervisor that it serves."""

from __future__ import annotations

import os


def announce() -> None:
    """Write ``ready`` to the descriptor in ``SIVO_READY_FD``, once; nothing happens without a supervisor."""
    descriptor = os.environ.pop("SIVO_READY_FD", "")
    if descriptor:
        os.write(int(descriptor), b"ready\n")
        os.close(int(descriptor))
