"""Key-encryption keys that are rotated, last use of secrets, failing webhook endpoints."""

from __future__ import annotations

from sivo.db.migrations.run_sql import run_file

revision = "0009"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One file of the rooms vault and webhooks."""
    run_file("0009_vault.sql")
