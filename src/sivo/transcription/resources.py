"""Transcription policies: without an active one that applies, nothing is transcribed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sivo.config.kinds import ResourceKind, Unique, register_kind
from sivo.config.policy_scope import SCOPE_REFERENCE, ScopedPolicy
from sivo.config.values import LanguageCode, Name


class TranscriptionPolicy(ScopedPolicy):
    """Fields that are not set fall to the keys of group ``transcription``."""

    name: Name
    active: bool = True
    engine: Literal["deepgram", "elevenlabs_scribe_v2_realtime", "whisper"] | None = None
    language: LanguageCode | None = None
    speaker_separation: bool | None = None
    retention_days: Annotated[int, Field(ge=1, le=3_650)] | None = None
    push_to_sf: bool | None = None


TRANSCRIPTION_POLICY = register_kind(
    ResourceKind(
        name="transcription_policy",
        plural="transcription-policies",
        model=TranscriptionPolicy,
        unique=(Unique("transcription_policy.scope", ("scope", "scope_id")),),
        references=(SCOPE_REFERENCE,),
    )
)
