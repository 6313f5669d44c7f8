"""What keys of recordings are wrapped for and what objects are bound to; light, because ``api`` needs only this."""

from __future__ import annotations

from uuid import UUID

#: Purpose under which the vault wraps the key of a stored recording.
OBJECT_PURPOSE = "recording"


def object_aad(tenant_id: UUID, recording_id: UUID) -> bytes:
    """A stored recording opens as this recording of this tenant and as nothing else."""
    return f"{tenant_id}|{recording_id}".encode()
