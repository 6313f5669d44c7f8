"""Schema revisions: ``versions/`` for Alembic, ``sql/`` for what they do. Each room writes its own SQL file."""

from __future__ import annotations

#: Revision of this release; a test compares it with the newest file in ``versions/``.
HEAD = "0011"

#: Rooms with tables in revision 0001, in the order of their references.
ROOMS_0001 = (
    "tenants",
    "vault",
    "config",
    "identity",
    "events",
    "webhooks",
    "routing",
    "calls",
    "transcription",
    "recording",
)
