"""The scope that the models of recording and transcription policies share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self
from uuid import UUID

from pydantic import model_validator

from sivo.config.kinds import Body, Reference

_KINDS = {"did": "did", "agent": "user"}


class ScopedPolicy(Body):
    """Where a policy applies: the whole tenant, or ``scope_id`` of a DID, a queue or a person (``agent``)."""

    scope: Literal["tenant", "did", "queue", "agent"] = "tenant"
    scope_id: UUID | None = None

    @model_validator(mode="after")
    def _id_fits_scope(self) -> Self:
        if (self.scope == "tenant") != (self.scope_id is None):
            raise ValueError("a tenant-wide policy has no scope_id, any other scope needs one")
        return self


def _find(body: Mapping[str, Any]) -> tuple[str, str] | None:
    kind = _KINDS.get(body["scope"])
    return (kind, str(body["scope_id"])) if kind else None


SCOPE_REFERENCE = Reference("scope_id", _find)
