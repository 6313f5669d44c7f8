"""The form of API keys, and which scope each request needs."""

from __future__ import annotations

import string

import pytest

from sivo.config import all_kinds
from sivo.identity.api_key_format import MARK, new_key, parse
from sivo.identity.api_key_scopes import ANY, Scope, granted, scope_for


def test_a_key_is_parsed_as_what_it_was_made() -> None:
    made = new_key()
    found = parse(made.text)
    assert found is not None
    assert (found.prefix, found.digest) == (made.prefix, made.digest)
    assert made.text.startswith(f"{MARK}{made.prefix}_")
    assert made.text not in repr(made)


def test_two_keys_have_nothing_in_common() -> None:
    one, other = new_key(), new_key()
    assert one.prefix != other.prefix and one.digest != other.digest


@pytest.mark.parametrize("place", [0, 5, 15, 16, 30, 55, -1])
def test_one_wrong_character_is_noticed_without_a_database(place: int) -> None:
    text = new_key().text
    at = place % len(text)
    for other in string.ascii_letters + string.digits + "_-é\x00":
        if other != text[at]:
            assert parse(text[:at] + other + text[at + 1 :]) is None


@pytest.mark.parametrize(
    "text", ["", "sivo_", "sivo__", "sk_live_abc", "sivo_" + "a" * 57, "sivo_abcdefghij_" + "é" * 46]
)
def test_what_is_no_key_is_none(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/api/me", ANY),
        ("GET", "/api/config", Scope.CONFIG_READ),
        ("GET", "/api/config/ai.max_turns", Scope.CONFIG_READ),
        ("PATCH", "/api/config", Scope.CONFIG_WRITE),
        ("POST", "/api/config/apply", Scope.CONFIG_APPLY),
        ("POST", "/api/config/rollback", Scope.CONFIG_APPLY),
        ("POST", "/api/config/plan", Scope.CONFIG_READ),
        ("GET", "/api/dids", Scope.RESOURCES_READ),
        ("POST", "/api/dids", Scope.RESOURCES_WRITE),
        ("POST", "/api/users", Scope.USERS_WRITE),
        ("PUT", "/api/secrets/llm_api_key", Scope.SECRETS_WRITE),
        ("POST", "/api/webhooks", Scope.WEBHOOKS_WRITE),
        ("GET", "/api/calls/1", Scope.CALLS_READ),
        ("GET", "/api/calls/1/transcript", Scope.TRANSCRIPTS_READ),
        ("GET", "/api/calls/1/trace", Scope.TRANSCRIPTS_READ),
        ("POST", "/api/calls/1/transfer", Scope.CALLS_CONTROL),
        ("GET", "/api/recordings/1/audio", Scope.RECORDINGS_READ),
        ("GET", "/api/ledger/verify", Scope.AUDIT_READ),
        ("POST", "/api/api-keys", None),
        ("GET", "/api/api-keys", None),
        ("DELETE", "/api/api-keys/1", None),
        ("DELETE", "/api/tenants/1", None),
        ("GET", "/api/tenants/1/export", None),
        ("POST", "/api/auth/agent", None),
        ("POST", "/api/me/password", None),
        ("GET", "/api/something-new", None),
        ("GET", "/api/configuration", None),
    ],
)
def test_the_scope_of_a_request(method: str, path: str, scope: str | None) -> None:
    all_kinds.load()
    assert scope_for(method, path) == scope


def test_writing_includes_reading_of_the_same_and_nothing_else() -> None:
    assert granted(["config:write"]) == {"config:write", "config:read"}
    assert granted(["calls:read"]) == {"calls:read"}
    for scope in Scope:
        assert {one.partition(":")[0] for one in granted([scope])} == {scope.partition(":")[0]}
