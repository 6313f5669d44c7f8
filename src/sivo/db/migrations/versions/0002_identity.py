"""Refresh tokens, second factors, lockout, devices, exact limits, key rotation."""

from __future__ import annotations

from sivo.db.migrations.run_sql import run_file

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One file of room identity."""
    run_file("0002_identity.sql")
