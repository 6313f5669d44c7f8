"""A console that gets another host name loses the security keys that were registered at the old one (WebAuthn RP id).

Source: W3C Web Authentication Level 2, §5.4.2: a credential is bound to the RP id of its registration.
"""

from __future__ import annotations

from sivo.config.change import Warned
from sivo.config.draft import Draft
from sivo.config.kinds import PLATFORM_ID
from sivo.config.resolve import Resolver
from sivo.db.scopes import Connection

CODE = "WEBAUTHN_KEYS_STOP_WORKING"
HOST = "tenant.dashboard_url"
#: Keys that the host follows from.
_NAMES = ("tenant.slug", HOST)


async def watch(connection: Connection, draft: Draft, effective: Resolver) -> list[Warned]:
    """How many security keys stop working, if the draft changes the host of the console."""
    tenant_id = draft.base.tenant_id
    touched = any(one.key in _NAMES for one in draft.keys.values()) or draft.tenant_body is not None
    if tenant_id == PLATFORM_ID or draft.base.tenant is None or not touched or not draft.records():
        return []
    host = str(effective.effective(HOST).value)
    row = await connection.fetchrow(
        "select n.name, (select count(*) from factor f where f.kind = 'webauthn' and f.confirmed_at is not null"
        " and f.rp_id = n.name) as keys from unique_name n"
        " where n.tenant_id = $1 and n.space = $2 and n.valid_until is null",
        tenant_id,
        HOST,
    )
    if row is None or row["name"] == host or not row["keys"]:
        return []
    count = int(row["keys"])
    return [
        Warned(
            CODE,
            HOST,
            f"{count} registered security key{'s' if count > 1 else ''} will stop working at {host}:"
            f" they belong to {row['name']}. Their owners sign in with another factor or a recovery code and register"
            " again, or an administrator resets their factors",
            {"credentials": count, "from": row["name"], "to": host},
        )
    ]
