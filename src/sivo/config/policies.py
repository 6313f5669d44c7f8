"""The scope that recording and transcription policies share."""

from __future__ import annotations

from typing import Literal, Self
from uuid import UUID

from pydantic import model_validator

from sivo.config.kinds import Body, Reference


class PolicyScope(Body):
    """Where a policy applies; ``agent`` means a person. The whole tenant unless said otherwise."""

    kind: Literal["tenant", "did", "queue", "agent"] = "tenant"
    id: UUID | None = None

    @model_validator(mode="after")
    def _id_fits_kind(self) -> Self:
        if (self.kind == "tenant") != (self.id is None):
            raise ValueError("a tenant-wide policy has no id, any other scope needs one")
        return self


def _find(body: object) -> tuple[str, str] | None:
    scope = body.get("scope") if isinstance(body, dict) else None
    kinds = {"did": "did", "queue": "queue", "agent": "user"}
    return (kinds[scope["kind"]], str(scope["id"])) if scope and scope["kind"] in kinds else None


SCOPE_REFERENCE = Reference("scope", _find)
