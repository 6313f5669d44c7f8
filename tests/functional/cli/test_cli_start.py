"""A command starts at once: what only some commands need is loaded by those."""

from __future__ import annotations

import subprocess
import sys

HEAVY = {"structlog", "rich", "asyncpg", "aiohttp", "fastapi", "numpy", "sqlalchemy", "cryptography"}


def test_the_command_line_loads_nothing_heavy_before_it_knows_the_command() -> None:
    program = "import sys, sivo.cli.main; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "sivo.cli.config" in loaded
    assert HEAVY & set(loaded) == set()
