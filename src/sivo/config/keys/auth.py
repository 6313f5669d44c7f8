"""Keys of the group "Authentication"."""

from __future__ import annotations

from sivo.config.key import Key, Static, When
from sivo.config.types import Int, Roles

KEYS = (
    Key(
        name="auth.jwt_ttl_sec",
        type=Int(300, 604_800),
        default=Static(86_400),
        when=When.NEXT_TOKEN,
        unit="s",
        help="Life of an access token: exp minus iat.",
    ),
    Key(
        name="auth.refresh_ttl_sec",
        type=Int(3_600, 31_536_000),
        default=Static(2_592_000),
        when=When.NEXT_LOGIN,
        unit="s",
        help="Refresh is refused after it, however often rotated in between. Must be greater than auth.jwt_ttl_sec.",
    ),
    Key(
        name="auth.password_min_length",
        type=Int(8, 64),
        default=Static(8),
        when=When.NOW,
        unit="characters",
        help="A shorter password is refused, with the number in the message.",
    ),
    Key(
        name="auth.login_max_attempts",
        type=Int(3, 20),
        default=Static(5),
        when=When.NOW,
        help="So many failures within 15 minutes lock the login for a while, right password included.",
    ),
    Key(
        name="auth.mfa_required_roles",
        type=Roles(),
        default=Static(["admin", "superadmin"]),
        when=When.NOW,
        help="A user of such a role gets no full token before a second factor. A tenant cannot remove superadmin.",
    ),
)
