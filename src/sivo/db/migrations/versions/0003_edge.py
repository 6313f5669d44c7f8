"""Bans of password guessers, state of trunks."""

from __future__ import annotations

from sivo.db.migrations.run_sql import run_file

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One file of rooms calls and routing."""
    run_file("0003_edge.sql")
