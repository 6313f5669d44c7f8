"""Everything that the first call needs."""

from __future__ import annotations

from sivo.db.migrations import ROOMS_0001
from sivo.db.migrations.run_sql import run_file

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bootstrap functions, then one file per room."""
    run_file("bootstrap.sql")
    for room in ROOMS_0001:
        run_file(f"0001_{room}.sql")
