"""Rules beyond a single value, slugs, merge patches."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest

from sivo.base.errors import SivoError
from sivo.config import slugs
from sivo.config.key import Inputs, Level
from sivo.config.merge import merge_patch
from sivo.config.registry import check
from sivo.config.resolve import Resolver, Stored
from sivo.config.rules import RESERVED_SLUGS, check_domains, check_effective, check_retention, check_set, check_slug


def effective(plan: str = "pro", **values: Any) -> Resolver:
    stored = [Stored(name.replace("__", "."), Level.TENANT, value) for name, value in values.items()]
    return Resolver(Inputs(slug="acme", plan=plan), stored)


def test_refresh_must_outlive_the_access_token() -> None:
    check_effective(effective(auth__jwt_ttl_sec=3600, auth__refresh_ttl_sec=3601))
    for jwt, refresh in ((3600, 3600), (7200, 3600)):
        with pytest.raises(SivoError) as caught:
            check_effective(effective(auth__jwt_ttl_sec=jwt, auth__refresh_ttl_sec=refresh))
        assert caught.value.where == "auth.refresh_ttl_sec"


def test_push_needs_a_connected_org() -> None:
    with pytest.raises(SivoError) as caught:
        check_effective(effective(transcription__push_to_sf=True))
    assert "connect an org" in (caught.value.remedy or "")


@pytest.mark.parametrize(
    ("provider", "model", "allowed"),
    [
        ("deepgram", "nova-2", True),
        ("deepgram", "nova-3", True),
        ("deepgram", "flux-general-en", False),
        ("elevenlabs", "scribe_v2_realtime", True),
        ("elevenlabs", "scribe_v3_live", True),
        ("elevenlabs", "scribe_v2", False),
        ("elevenlabs_scribe_v2_realtime", "scribe_v1", False),
        ("elevenlabs", "nova-2", False),
        ("openai", "whisper-1", True),
        ("local", "anything", True),
    ],
)
def test_a_model_that_cannot_stream_is_refused_when_it_is_configured(provider: str, model: str, allowed: bool) -> None:
    found = effective(ai__stt_provider=provider, ai__stt_model=model)
    if allowed:
        check_effective(found)
        return
    with pytest.raises(SivoError) as caught:
        check_effective(found)
    assert caught.value.where == "ai.stt_model"
    assert model in caught.value.message


@pytest.mark.parametrize(
    ("plan", "days", "allowed"),
    [
        ("starter", 30, True),
        ("starter", 31, False),
        ("starter", 1, True),
        ("pro", 180, True),
        ("pro", 181, False),
        ("enterprise", 3650, True),
    ],
)
def test_starter_and_pro_may_lower_retention_not_raise_it(plan: str, days: int, allowed: bool) -> None:
    found = effective(plan, recording__default_retention_days=days)
    if allowed:
        check_effective(found)
        check_retention(plan, days, "policy")
    else:
        with pytest.raises(SivoError):
            check_effective(found)
        with pytest.raises(SivoError):
            check_retention(plan, days, "policy")


def test_only_a_superadmin_takes_superadmin_out_of_the_mfa_roles_of_a_tenant() -> None:
    check_set("auth.mfa_required_roles", ["superadmin"], Level.TENANT, "admin")
    check_set("auth.mfa_required_roles", [], Level.TENANT, "superadmin")
    check_set("auth.mfa_required_roles", [], Level.PLATFORM, "superadmin")
    with pytest.raises(SivoError) as caught:
        check_set("auth.mfa_required_roles", ["admin"], Level.TENANT, "admin")
    assert caught.value.code == "CONFIG_RULE_BROKEN"


def test_names_below_the_platforms_suffix_follow_from_the_slug() -> None:
    inputs = Inputs(slug="acme")
    fine = {"tenant.sip_domain": "pbx.acme.example", "tenant.dashboard_url": "acme.app.sivocenter.com"}
    check_domains(fine, inputs)
    for wrong in ("other.sip.sivocenter.com", "sip.sivocenter.com", "x.acme.sip.sivocenter.com"):
        with pytest.raises(SivoError):
            check_domains({**fine, "tenant.sip_domain": wrong}, inputs)


def test_reserved_slugs_are_refused() -> None:
    for slug in ("admin", "api", "platform", "www", "sip"):
        assert slug in RESERVED_SLUGS
        with pytest.raises(SivoError):
            check_slug(slug)
    check_slug("acme")


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Acme Corp", "acme-corp"),
        ("Café Ñandú, S.A.", "cafe-nandu-s-a"),
        ("3com", "t-3com"),
        ("日本", "t-tenant"),
        ("ab", "ab-tenant"),
        ("x" * 50, "x" * 32),
    ],
)
def test_slugs_are_made_from_names(name: str, slug: str) -> None:
    assert slugs.from_name(name) == slug
    assert check("tenant.slug", slug) == slug


def test_taken_and_reserved_slugs_get_a_number() -> None:
    assert slugs.free("Acme", {"acme", "acme-2"}) == "acme-3"
    assert slugs.free("Admin", set()) == "admin-2"
    for slug in islice(slugs.candidates("y" * 40), 12):
        assert check("tenant.slug", slug) == slug


#: RFC 7396, appendix A.
RFC_7396: list[tuple[Any, Any, Any]] = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("target", "patch", "result"), RFC_7396)
def test_merge_patch_is_that_of_the_rfc(target: Any, patch: Any, result: Any) -> None:
    assert merge_patch(target, patch) == result
