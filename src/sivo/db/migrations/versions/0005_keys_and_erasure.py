"""API keys of machines; deletion of tenants."""

from __future__ import annotations

from sivo.db.migrations.run_sql import run_file

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One file of rooms identity and tenants."""
    run_file("0005_keys_and_erasure.sql")
