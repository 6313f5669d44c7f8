"""Mail, one-time links, forgotten passwords, leads."""

from __future__ import annotations

from sivo.db.migrations.run_sql import run_file

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One file of the rooms mail, identity and leads."""
    run_file("0006_mail_and_leads.sql")
