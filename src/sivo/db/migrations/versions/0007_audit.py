"""The audit log."""

from __future__ import annotations

from sivo.db.migrations.run_sql import run_file

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One file of room audit."""
    run_file("0007_audit.sql")
