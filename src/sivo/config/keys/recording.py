"""Keys of the group "Recording"."""

from __future__ import annotations

from sivo.config.key import ByPlan, Key, Static, When
from sivo.config.types import Bool, Choice, Int, Uuid

#: Identity of the managed storage provider, the same in every installation.
MANAGED_PROVIDER_ID = "00000000-0000-7000-8000-000000000001"

RETENTION_BY_PLAN = {"starter": 30, "pro": 180, "enterprise": 365}
#: Plans that may lower their retention but not raise it.
RETENTION_CAPPED_PLANS = ("starter", "pro")

FORMATS = ("wav", "mp3", "ogg")

KEYS = (
    Key(
        name="recording.default_format",
        type=Choice(FORMATS),
        default=Static("wav"),
        when=When.CALLS,
        overridden_by=("recording_policy.format",),
        help="Container and codec of the stored object (ogg = Opus).",
    ),
    Key(
        name="recording.default_retention_days",
        type=Int(1, 3_650),
        default=ByPlan(RETENTION_BY_PLAN),
        when=When.SEALED,
        unit="days",
        overridden_by=("recording_policy.retention_days",),
        help="Expiry stored with the recording; gone after it. Starter and Pro may lower it, not raise it.",
    ),
    Key(
        name="recording.default_provider_id",
        type=Uuid(),
        default=Static(MANAGED_PROVIDER_ID),
        when=When.CALLS,
        overridden_by=("recording_policy.provider_id",),
        help="Which store the object lands in; the default is the managed provider.",
    ),
    Key(
        name="recording.kms_enabled",
        type=Bool(),
        default=Static(True),
        when=When.CALLS,
        help="true: encrypted under a KMS-managed key. false: the store's own server-side encryption. Never in clear.",
    ),
)
