"""Keys of the group "Tenant identity"."""

from __future__ import annotations

from sivo.config.key import ALL_ROLES, TENANT_ONLY, Computed, Key, Static, When
from sivo.config.types import LOCALES, Choice, Host, Text, Zone

SLUG = Text(max_length=32, pattern=r"[a-z][a-z0-9-]{1,30}[a-z0-9]", rule="URL-safe: [a-z][a-z0-9-]{1,30}[a-z0-9]")

KEYS = (
    Key(
        name="tenant.slug",
        type=SLUG,
        default=Computed("generated from the name", lambda inputs, lookup: inputs.slug),
        when=When.NOW,
        scopes=TENANT_ONLY,
        read_roles=ALL_ROLES,
        help="First label of the tenant's SIP and dashboard hosts; claim tenantSlug. Unique, reserved words refused.",
    ),
    Key(
        name="tenant.sip_domain",
        type=Host(),
        default=Computed(
            "<slug>.<SIP suffix of the platform>", lambda inputs, lookup: f"{lookup('tenant.slug')}.{inputs.sip_suffix}"
        ),
        when=When.NOW,
        scopes=TENANT_ONLY,
        read_roles=ALL_ROLES,
        help="Domain and digest realm of registrations; claim sipDomain. The old domain stays valid for 7 days.",
    ),
    Key(
        name="tenant.dashboard_url",
        type=Host(),
        default=Computed(
            "<slug>.<dashboard suffix of the platform>",
            lambda inputs, lookup: f"{lookup('tenant.slug')}.{inputs.app_suffix}",
        ),
        when=When.NOW,
        scopes=TENANT_ONLY,
        read_roles=ALL_ROLES,
        help="Host name of the console; the Host header selects tenant and branding.",
    ),
    Key(
        name="tenant.default_locale",
        type=Choice(LOCALES),
        default=Static("es"),
        when=When.NOW_AND_CALLS,
        read_roles=ALL_ROLES,
        help="Language of console, mails, prompts and default voice; a user's own language overrides it.",
    ),
    Key(
        name="tenant.timezone",
        type=Zone(),
        default=Static("Europe/Madrid"),
        when=When.NOW,
        read_roles=ALL_ROLES,
        help="Schedules open and close by it and call records are rendered in it.",
    ),
)
