"""``make bench``: every measurement, with the machine that it was taken on and how it was taken."""

from __future__ import annotations

import asyncio
import os

from bench import first_call
from bench.machine import describe


def main() -> None:
    """Run all benches one after another; nothing is judged here."""
    os.environ.setdefault("SIVO_MEDIA_PROCESSES", "1")
    print(describe())
    print(
        "method: whole node on loopback, local speech, callers with a SIP and RTP stack of their own in one process\n"
    )
    print("\n".join(asyncio.run(first_call.run())))


if __name__ == "__main__":
    main()
