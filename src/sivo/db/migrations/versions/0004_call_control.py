"""Orders to running calls: transfers, keys, supervision."""

from __future__ import annotations

from sivo.db.migrations.run_sql import run_file

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One file of room calls."""
    run_file("0004_call_control.sql")
