"""Rules beyond a single value: between keys, and between a value and the tenant's plan or the author's role."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sivo.base.errors import SivoError, register
from sivo.config.key import Inputs, Level
from sivo.config.keys.recording import RETENTION_BY_PLAN, RETENTION_CAPPED_PLANS
from sivo.config.resolve import Resolver

RULE_BROKEN = register("CONFIG_RULE_BROKEN", 422)

#: Words that can be no tenant's slug: host names and paths of the platform, and names that would mislead.
RESERVED_SLUGS = frozenset(
    """
    admin api app assets auth billing cdn console dashboard docs edge ftp health help imap internal localhost login
    logout mail media metrics ns1 ns2 operator pbx platform pop postmaster public registrar root sbc security sip
    smtp sivo sivocenter static status stun support superadmin system trunk turn voice webhook webhooks webmail
    webrtc wss www
    """.split()  # noqa: SIM905
)


def check_slug(slug: str) -> None:
    """Refuse reserved words as a slug."""
    if slug in RESERVED_SLUGS:
        raise SivoError(RULE_BROKEN, f"the slug {slug!r} is reserved", where="tenant.slug", remedy="choose another")


def check_retention(plan: str, days: int, where: str) -> None:
    """Starter and Pro may lower the retention of recordings, not raise it."""
    ceiling = RETENTION_BY_PLAN[plan]
    if plan in RETENTION_CAPPED_PLANS and days > ceiling:
        raise SivoError(
            RULE_BROKEN,
            f"{where} = {days}: plan {plan} keeps recordings {ceiling} days at most",
            where=where,
            remedy=f"set at most {ceiling}, or change the plan",
        )


#: Keys whose values :func:`check_effective` looks at.
CROSS_CHECKED = (
    "auth.jwt_ttl_sec",
    "auth.refresh_ttl_sec",
    "transcription.push_to_sf",
    "recording.default_retention_days",
    "ai.stt_provider",
    "ai.stt_model",
)
#: ElevenLabs models that take a stream; ``scribe_v1`` and ``scribe_v2`` take whole files only.
_SCRIBE = ("elevenlabs", "elevenlabs_scribe_v2_realtime")
_SCRIBE_STREAMS = ("_realtime", "_live")


def check_stt(provider: str, model: str) -> None:
    """A conversation needs speech-to-text that streams, in the protocol that is spoken here."""
    problem = remedy = ""
    if provider in _SCRIBE and not model.endswith(_SCRIBE_STREAMS):
        problem, remedy = "cannot stream", "set ai.stt_model to scribe_v2_realtime in the same change"
    elif provider == "deepgram" and model.startswith("flux"):
        problem, remedy = "speaks another protocol (v2/listen)", "choose a nova model, for example nova-3"
    if problem:
        message = f"ai.stt_model = {model}: with ai.stt_provider = {provider} this model {problem}"
        raise SivoError(RULE_BROKEN, message, where="ai.stt_model", remedy=remedy)


def check_effective(effective: Resolver) -> None:
    """Rules between the effective values of one tenant; run before anything is stored."""
    values, plan = effective.values(), effective.inputs.plan
    jwt, refresh = values["auth.jwt_ttl_sec"], values["auth.refresh_ttl_sec"]
    if refresh <= jwt:
        raise SivoError(
            RULE_BROKEN,
            f"auth.refresh_ttl_sec = {refresh} must be greater than auth.jwt_ttl_sec = {jwt}",
            where="auth.refresh_ttl_sec",
            remedy="raise auth.refresh_ttl_sec or lower auth.jwt_ttl_sec",
        )
    if values["transcription.push_to_sf"] and not values["sf.connected_orgs"]:
        raise SivoError(
            RULE_BROKEN,
            "transcription.push_to_sf needs a connected Salesforce org, and none is connected",
            where="transcription.push_to_sf",
            remedy="connect an org in Settings, Integrations, Salesforce first",
        )
    check_stt(values["ai.stt_provider"], values["ai.stt_model"])
    retention = effective.effective("recording.default_retention_days")
    if retention.level is Level.TENANT:
        check_retention(plan, retention.value, retention.key)


def check_domains(values: Mapping[str, Any], inputs: Inputs) -> None:
    """Below the platform's own suffixes a tenant has its slug and nothing else, or it would sit on others' names."""
    for key, suffix in (("tenant.sip_domain", inputs.sip_suffix), ("tenant.dashboard_url", inputs.app_suffix)):
        value = values[key]
        if (value == suffix or value.endswith(f".{suffix}")) and value != f"{inputs.slug}.{suffix}":
            raise SivoError(
                RULE_BROKEN,
                f"{key} = {value}: names below {suffix} follow from tenant slugs",
                where=key,
                remedy=f"unset it to get {inputs.slug}.{suffix}, or use a domain of your own",
            )


def check_set(name: str, value: Any, level: Level, role: str) -> None:
    """Rules of one value at one level, for an author of ``role``."""
    if name == "tenant.slug":
        check_slug(value)
    if level is not Level.TENANT:
        return
    if name == "auth.mfa_required_roles" and "superadmin" not in value and role != "superadmin":
        raise SivoError(
            RULE_BROKEN,
            "a tenant cannot remove superadmin from auth.mfa_required_roles",
            where=name,
            remedy='keep "superadmin" in the array',
        )
