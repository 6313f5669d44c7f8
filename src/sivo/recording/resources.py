"""Recording policies: without an active one that applies, nothing is recorded."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from sivo.config.hooks import CheckContext
from sivo.config.kinds import ResourceKind, Unique, register_kind
from sivo.config.policy_scope import SCOPE_REFERENCE, ScopedPolicy
from sivo.config.rules import check_retention
from sivo.config.values import Name


class RecordingPolicy(ScopedPolicy):
    """Fields that are not set fall to the keys of group ``recording``."""

    name: Name
    active: bool = True
    format: Literal["wav", "mp3", "ogg"] | None = None
    retention_days: Annotated[int, Field(ge=1, le=3_650)] | None = None
    provider_id: UUID | None = None
    expiry_action: Literal["delete", "archive", "transfer"] = "delete"


async def _check(context: CheckContext, resource_id: UUID, body: dict[str, Any]) -> None:
    if body["retention_days"] is not None:
        check_retention(context.inputs.plan, body["retention_days"], "recording_policy.retention_days")


RECORDING_POLICY = register_kind(
    ResourceKind(
        name="recording_policy",
        plural="recording-policies",
        model=RecordingPolicy,
        unique=(Unique("recording_policy.scope", ("scope", "scope_id")),),
        references=(SCOPE_REFERENCE,),
        check=_check,
        checked_with_tenant=True,
    )
)
