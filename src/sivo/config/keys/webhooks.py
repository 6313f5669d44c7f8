"""Keys of the group "Webhooks"."""

from __future__ import annotations

from sivo.config.key import WITH_ENDPOINT, Computed, Key, Level, Static, When
from sivo.config.types import Int, Secret

KEYS = (
    Key(
        name="webhooks.signing_secret",
        type=Secret(),
        default=Computed("generated for each endpoint", lambda inputs, lookup: None),
        when=When.NOW,
        scopes=(Level.ENDPOINT,),
        secret=True,
        overridden_by=("webhook_endpoint.secret",),
        help="Key of the HMAC-SHA256 in X-Sivo-Signature.",
    ),
    Key(
        name="webhooks.retry_max_attempts",
        type=Int(0, 12),
        default=Static(6),
        when=When.NEXT_EVENT,
        scopes=WITH_ENDPOINT,
        overridden_by=("webhook_endpoint.retry_max_attempts",),
        help="Retries after a failed first attempt: 5 s, 30 s, 2 m, 10 m, 1 h, 6 h; then the dead-letter queue.",
    ),
    Key(
        name="webhooks.timeout_ms",
        type=Int(500, 30_000),
        default=Static(10_000),
        when=When.NOW,
        unit="ms",
        scopes=WITH_ENDPOINT,
        overridden_by=("webhook_endpoint.timeout_ms",),
        help="A slower answer is a failed attempt.",
    ),
    Key(
        name="webhooks.dlq_retention_days",
        type=Int(1, 365),
        default=Static(30),
        when=When.NOW,
        unit="days",
        help="How long a dead event can be listed and replayed.",
    ),
)
