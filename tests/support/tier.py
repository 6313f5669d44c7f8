"""Runs a tier of tests, and what failed in the crowd once more by itself.

    PYTHONPATH=tests python -m support.tier NAME [what pytest takes]

Many tests run real phones and processes in real time. Twice red is red, and the first failure stays printed. A second
try during which the host kept the processor to itself (``steal`` of proc(5), printed with every try) says nothing: it
is made again when the machine has been left alone for a moment, :data:`TRIES` in all.
"""

from __future__ import annotations

import subprocess
import sys

from support.host import MOST_STOLEN, Stolen, left_alone

TRIES = 4
#: Seconds that a try waits for a machine left alone.
PATIENCE_S = 180.0


def main(name: str, arguments: list[str]) -> int:
    """Exit status of the last try."""
    places = [one for one in arguments if one.startswith("tests/")]
    again = ["--last-failed", "--last-failed-no-failures", "none", *places]
    status, stolen = _pytest(name, arguments)
    for number in range(2, TRIES + 1):
        if status != 1 or (number > 2 and stolen <= MOST_STOLEN):
            break
        alone = left_alone(PATIENCE_S)
        print(
            f"== try {number}, one by one, of what failed; the machine is {'ours' if alone else 'not ours'}", flush=True
        )
        status, stolen = _pytest(name, again)
    return status


def _pytest(name: str, arguments: list[str]) -> tuple[int, float]:
    """Status of pytest, and the share of the processor that the host kept meanwhile."""
    host = Stolen()
    status = subprocess.call([sys.executable, "-m", "pytest", "-q", "-o", f"cache_dir=build/pytest-{name}", *arguments])
    share = host.share()
    print(f"== {name}: exit {status}; the host kept {100 * share:.0f} % of the processor", flush=True)
    return status, share


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
