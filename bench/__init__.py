"""Measurements. They stand on the phones, doubles and running nodes that the tests use (``tests/support``)."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
