"""Change-sets that wait for a time or an approval; the defaults that releases declare."""

from __future__ import annotations

from sivo.db.migrations.run_sql import run_file

revision = "0011"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One file of room config."""
    run_file("0011_proposals.sql")
