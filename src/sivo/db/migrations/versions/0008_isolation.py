"""Isolation audits."""

from __future__ import annotations

from sivo.db.migrations.run_sql import run_file

revision = "0008"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One file of room isolation."""
    run_file("0008_isolation.sql")
