"""When each key takes effect, and the tests that show it; ``tests/unit/house/test_house_moments.py`` keeps it whole.

A key needs one test for every part of its class: ``pinned`` (a running call keeps what it started with), ``now`` (a
reader that runs sees the change), ``sealed`` (what is stored does not move), ``off`` (turning it off acts on what
runs), ``next`` (the next token, login or event has it).
"""

from __future__ import annotations

from sivo.config.key import When

#: Parts of each class of the reference.
PARTS: dict[When, frozenset[str]] = {
    When.NOW: frozenset({"now"}),
    When.CALLS: frozenset({"pinned"}),
    When.SEALED: frozenset({"sealed"}),
    When.NEXT_TOKEN: frozenset({"next"}),
    When.NEXT_LOGIN: frozenset({"next"}),
    When.NEXT_EVENT: frozenset({"next"}),
    When.NOW_AND_CALLS: frozenset({"now", "pinned"}),
    When.CALLS_OFF_NOW: frozenset({"pinned", "off"}),
}

_CALLS = "functional/calls/test_calls_moments.py"
_PINNED = f"{_CALLS}::test_a_running_call_keeps_all_it_started_with_and_the_next_has_none_of_it"
_AUTH = "conformance/test_conformance_auth.py"
_TENANT = "conformance/test_conformance_tenant.py"
_MAIL = "conformance/test_conformance_mail.py"
_HOOKS = "conformance/test_conformance_webhooks.py"
_LASTING = "functional/webhooks/test_webhooks_lasting.py"
_DELIVERY = "functional/webhooks/test_webhooks_delivery.py"

#: Keys that a running call is made of, all changed under one.
CALL_KEYS = (
    "recording.default_format",
    "recording.default_provider_id",
    "recording.kms_enabled",
    "transcription.engine",
    "transcription.language",
    "transcription.speaker_separation",
    "ai.stt_provider",
    "ai.stt_model",
    "ai.llm_base_url",
    "ai.llm_model",
    "ai.tts_provider",
    "ai.tts_model",
    "ai.tts_voice_id",
    "ai.max_turns",
    "ai.max_duration_sec",
    "ai.barge_in_cooldown_ms",
    "ai.speech_min_ms",
)

#: key -> part -> test that shows it, below ``tests``.
MOMENTS: dict[str, dict[str, str]] = {
    "tenant.slug": {"now": f"{_TENANT}::test_the_slug_names_the_sip_host_and_the_token"},
    "tenant.sip_domain": {"now": f"{_TENANT}::test_phones_register_in_the_domain_that_is_set"},
    "tenant.dashboard_url": {
        "now": "functional/identity/test_identity_sessions.py::test_a_renamed_console_is_known_at_once"
    },
    "tenant.default_locale": {
        "now": f"{_MAIL}::test_default_locale_is_the_language_of_mails_and_a_users_own_overrides_it",
        "pinned": _PINNED,
    },
    "tenant.timezone": {"now": "functional/calls/test_calls_api.py::test_a_cdr_is_rendered_in_the_zone_in_force"},
    "auth.jwt_ttl_sec": {"next": f"{_AUTH}::test_jwt_ttl_sec_is_exp_minus_iat_of_the_next_token"},
    "auth.refresh_ttl_sec": {"next": f"{_AUTH}::test_refresh_ttl_sec_is_absolute_from_the_next_login"},
    "auth.password_min_length": {
        "now": f"{_AUTH}::test_password_min_length_is_enforced_now_with_the_number_in_the_message"
    },
    "auth.login_max_attempts": {
        "now": "functional/identity/test_identity_lockout_http.py::test_the_tenants_key_decides_at_once"
    },
    "auth.mfa_required_roles": {
        "now": "functional/identity/test_identity_mfa.py::test_the_key_of_the_tenant_decides_now"
    },
    "recording.default_retention_days": {"sealed": _PINNED},
    "transcription.policy_retention_days": {
        "sealed": "conformance/test_conformance_sealed.py::test_what_is_sealed_at_creation"
    },
    "webhooks.signing_secret": {"now": f"{_LASTING}::test_two_secrets_are_valid_while_rotating_and_one_afterwards"},
    "webhooks.retry_max_attempts": {"next": f"{_DELIVERY}::test_retries_are_sealed_when_the_event_is_fanned_out"},
    "webhooks.timeout_ms": {"now": f"{_HOOKS}::test_a_slower_answer_is_a_failed_attempt"},
    "webhooks.dlq_retention_days": {"now": f"{_HOOKS}::test_a_dead_event_is_kept_so_many_days"},
    **{key: {"pinned": _PINNED} for key in CALL_KEYS},
}

_RECOVERY = "functional/calls/test_calls_recovery.py"
_PHONES = "functional/identity/test_identity_phones.py"
_KEYS = "functional/identity/test_api_keys.py"
_SIGNING = "functional/identity/test_identity_keys.py"
_SESSIONS = "functional/identity/test_identity_sessions.py"

#: Safety switches and revocations, which act at once on what runs -> test that shows it.
AT_ONCE: dict[str, str] = {
    "both policies off under one call": _PINNED,
    "recording policy off": f"{_RECOVERY}::test_a_recording_switch_turned_off_acts_on_the_running_call",
    "transcription policy off": (
        "conformance/test_conformance_stt_people.py::test_a_policy_that_is_switched_off_stops_a_running_transcription"
    ),
    "session ended": f"{_SESSIONS}::test_signing_out_is_in_force_in_another_process_within_a_second",
    "person switched off": f"{_SESSIONS}::test_a_user_who_was_switched_off_is_not_renewed",
    "person's phone switched off": f"{_PHONES}::test_a_user_who_is_switched_off_loses_the_phone",
    "API key revoked": f"{_KEYS}::test_revoking_is_in_force_in_another_process_within_a_second",
    "signing key revoked": f"{_SIGNING}::test_a_revoked_key_is_gone_from_every_process_within_a_second",
    "webhook secret revoked": f"{_LASTING}::test_a_leaked_secret_is_dropped_at_once_and_a_third_drops_the_first",
}
