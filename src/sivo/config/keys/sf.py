"""Keys of the group "Salesforce"."""

from __future__ import annotations

from sivo.config.key import NO_ROLES, WITH_ORG, Computed, Key, Static, When
from sivo.config.types import Bool, Text, Url, Uuid, View

KEYS = (
    Key(
        name="sf.connected_orgs",
        type=View(),
        default=Static([]),
        when=When.NOW,
        scopes=(),
        write_roles=NO_ROLES,
        help="Completed connections to Salesforce orgs; entries appear only through OAuth.",
    ),
    Key(
        name="sf.jwt_keypair_id",
        type=Uuid(words=("global",)),
        default=Static("global"),
        when=When.NOW,
        scopes=WITH_ORG,
        help="Which RS256 private key signs towards Salesforce: the platform's global one or a dedicated pair.",
    ),
    Key(
        name="sf.scrt_base_url",
        type=Url(),
        default=Computed("discovered through OAuth", lambda inputs, lookup: None),
        when=When.NOW,
        scopes=WITH_ORG,
        help="Host that receives SCRT2 calls.",
    ),
    Key(
        name="sf.user_mappings",
        type=View(),
        default=Static([]),
        when=When.NOW,
        scopes=(),
        write_roles=NO_ROLES,
        help="PBX user to Salesforce user; imported by e-mail, manual rows are never overwritten.",
    ),
    Key(
        name="sf.push_transcripts",
        type=Bool(),
        default=Static(False),
        when=When.CALLS_OFF_NOW,
        scopes=WITH_ORG,
        help="Transcripts reach Salesforce only if true here and in transcription.push_to_sf.",
    ),
    Key(
        name="sf.message_provider_name",
        type=Text(max_length=80),
        default=Static("calltree"),
        when=When.NOW,
        scopes=WITH_ORG,
        confirm="not to be changed without the Salesforce admin",
        help="Header Telephony-Provider-Name. A change needs a confirmation and is audited.",
    ),
)
