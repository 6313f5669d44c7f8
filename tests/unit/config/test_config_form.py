"""The form of every key, made from its declaration: widgets that fit the type, labels, order, what may be chosen."""

from __future__ import annotations

from sivo.config.form import GROUPS, form
from sivo.config.registry import KEYS

#: JSON type of a value -> widgets that can edit it.
FIT = {
    "boolean": {"switch"},
    "integer": {"number"},
    "array": {"roles", "view"},
    "string": {"text", "select", "host", "url", "uuid", "timezone", "language", "secret"},
}


def test_every_key_has_a_form_that_fits_its_type() -> None:
    forms = {name: form(key) for name, key in KEYS.items()}
    for name, key in KEYS.items():
        schema, shown = key.type.schema(), forms[name]
        json_type = schema.get("type") or schema["anyOf"][0]["type"]
        assert shown["widget"] in FIT[json_type], name
        assert (shown["help"], shown["unit"], shown["group_title"]) == (key.help, key.unit, GROUPS[key.group])
        assert bool(shown["options"]) == (shown["widget"] in ("select", "roles")), name
        assert shown["read_only"] == (shown["widget"] == "view"), name
    assert [one["order"] for one in forms.values()] == list(range(1, 41))
    labels = [(one["group"], one["title"]) for one in forms.values()]
    assert len(set(labels)) == 40, "two fields of a group with the same label"


def test_what_a_form_says_of_single_keys() -> None:
    assert form(KEYS["recording.default_format"])["options"] == ["wav", "mp3", "ogg"]
    assert form(KEYS["auth.mfa_required_roles"])["options"][0] == "agent"
    assert form(KEYS["ai.llm_base_url"])["suggestions"] == ["local"]
    assert form(KEYS["sf.jwt_keypair_id"])["suggestions"] == ["global"]
    assert form(KEYS["sf.message_provider_name"])["confirm"] == "not to be changed without the Salesforce admin"
    assert form(KEYS["ai.max_turns"])["confirm"] is None
    assert form(KEYS["webhooks.signing_secret"])["widget"] == "secret"
    titles = ("auth.jwt_ttl_sec", "ai.barge_in_cooldown_ms", "tenant.sip_domain", "ai.llm_base_url")
    assert [form(KEYS[name])["title"] for name in titles] == [
        "JWT lifetime",
        "Barge in cooldown",
        "SIP domain",
        "LLM base URL",
    ]
