"""Keys of the group "Transcription"."""

from __future__ import annotations

from sivo.config.key import Key, Static, When
from sivo.config.types import Bool, Choice, Int, Language

ENGINES = ("deepgram", "elevenlabs_scribe_v2_realtime", "whisper")

KEYS = (
    Key(
        name="transcription.engine",
        type=Choice(ENGINES),
        default=Static("deepgram"),
        when=When.CALLS,
        overridden_by=("transcription_policy.engine",),
        help="Wire protocol and credentials (whisper = an OpenAI-compatible endpoint, ours or the tenant's).",
    ),
    Key(
        name="transcription.language",
        type=Language(),
        default=Static("es"),
        when=When.CALLS,
        overridden_by=("transcription_policy.language", "did.transcription_language"),
        help="Language parameter on the wire (ISO 639-1); a DID may override it.",
    ),
    Key(
        name="transcription.speaker_separation",
        type=Bool(),
        default=Static(True),
        when=When.CALLS,
        overridden_by=("transcription_policy.speaker_separation",),
        help="true: caller and agent in separate forks, each segment labelled by its leg. false: one mixed stream.",
    ),
    Key(
        name="transcription.policy_retention_days",
        type=Int(1, 3_650),
        default=Static(90),
        when=When.SEALED,
        unit="days",
        overridden_by=("transcription_policy.retention_days",),
        help="Expiry of a transcript, sealed when its record is made.",
    ),
    Key(
        name="transcription.push_to_sf",
        type=Bool(),
        default=Static(False),
        when=When.CALLS_OFF_NOW,
        overridden_by=("transcription_policy.push_to_sf",),
        help="Segments may be pushed to Salesforce; refused while no org is connected.",
    ),
)
