"""What a machine may reach with an API key: scopes, and the scope that each route asks for.

The scope narrows, the role bounds: a request passes when the key's scopes *and* its role allow it. A route that no line
below names is closed to every key, so a new one is closed until somebody decides otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from enum import StrEnum

from sivo.config.kinds import KINDS


class Scope(StrEnum):
    """One permission of a key. Writing (and control, and apply) includes reading the same things."""

    CONFIG_READ = "config:read"
    CONFIG_WRITE = "config:write"
    #: Whole documents: import, apply, rollback. They may change everything that a tenant edits, users included.
    CONFIG_APPLY = "config:apply"
    RESOURCES_READ = "resources:read"
    RESOURCES_WRITE = "resources:write"
    USERS_READ = "users:read"
    USERS_WRITE = "users:write"
    SECRETS_READ = "secrets:read"
    SECRETS_WRITE = "secrets:write"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_WRITE = "webhooks:write"
    CALLS_READ = "calls:read"
    CALLS_CONTROL = "calls:control"
    TRANSCRIPTS_READ = "transcripts:read"
    RECORDINGS_READ = "recordings:read"
    AUDIT_READ = "audit:read"
    LEADS_READ = "leads:read"


_INCLUDES = {
    Scope.CONFIG_WRITE: (Scope.CONFIG_READ,),
    Scope.CONFIG_APPLY: (Scope.CONFIG_READ, Scope.CONFIG_WRITE),
    Scope.RESOURCES_WRITE: (Scope.RESOURCES_READ,),
    Scope.USERS_WRITE: (Scope.USERS_READ,),
    Scope.SECRETS_WRITE: (Scope.SECRETS_READ,),
    Scope.WEBHOOKS_WRITE: (Scope.WEBHOOKS_READ,),
    Scope.CALLS_CONTROL: (Scope.CALLS_READ,),
}
#: Open to every key: who am I.
ANY = "any"
_READS = ("GET", "HEAD")

#: (methods, path, scope); the first line that fits counts. None as methods: all of them.
_LINES: tuple[tuple[tuple[str, ...] | None, str, Scope], ...] = (
    (("POST",), r"/api/config/(import|apply|rollback)", Scope.CONFIG_APPLY),
    (("POST",), r"/api/config/(plan|impact)", Scope.CONFIG_READ),
    (_READS, r"/api/config(/.*)?", Scope.CONFIG_READ),
    (("PATCH",), r"/api/config", Scope.CONFIG_WRITE),
    (_READS, r"/api/changes(/.*)?", Scope.CONFIG_READ),
    # Approving is for people: no line opens it to a key.
    (("POST",), r"/api/changes(/[^/]+/cancel)?", Scope.CONFIG_APPLY),
    (_READS, r"/api/explain/call", Scope.CONFIG_READ),
    (_READS, r"/api/tenants/[^/]+(/plan)?", Scope.CONFIG_READ),
    (_READS, r"/api/(ledger|audit)(/.*)?", Scope.AUDIT_READ),
    (_READS, r"/api/secrets(/.*)?", Scope.SECRETS_READ),
    (None, r"/api/secrets(/.*)?", Scope.SECRETS_WRITE),
    (_READS, r"/api/users(/.*)?", Scope.USERS_READ),
    (None, r"/api/users(/.*)?", Scope.USERS_WRITE),
    (_READS, r"/api/(webhooks|webhook-deliveries)(/.*)?", Scope.WEBHOOKS_READ),
    (None, r"/api/(webhooks|webhook-deliveries)(/.*)?", Scope.WEBHOOKS_WRITE),
    (_READS, r"/api/calls/[^/]+/(transcript|trace|live)", Scope.TRANSCRIPTS_READ),
    (_READS, r"/api/calls(/.*)?", Scope.CALLS_READ),
    (("POST",), r"/api/calls/[^/]+/[a-z]+", Scope.CALLS_CONTROL),
    (_READS, r"/api/recordings(/.*)?", Scope.RECORDINGS_READ),
    (_READS, r"/api/leads(/.*)?", Scope.LEADS_READ),
    (_READS, r"/api/(sip-bans|trunk-states)", Scope.RESOURCES_READ),
    (("DELETE",), r"/api/sip-bans/[^/]+", Scope.RESOURCES_WRITE),
    (("POST",), r"/api/providers/test", Scope.RESOURCES_WRITE),
)
_COMPILED = tuple((methods, re.compile(pattern), scope) for methods, pattern, scope in _LINES)
#: Kinds whose routes stand above, or that no key may touch: keys do not make keys.
_NOT_RESOURCES = frozenset({"api-keys", "tenants"})


def scope_for(method: str, path: str) -> str | None:
    """The scope that a request needs, :data:`ANY`, or None for a route that is closed to keys."""
    if path == "/api/me":
        return ANY if method in _READS else None
    for methods, pattern, scope in _COMPILED:
        if (methods is None or method in methods) and pattern.fullmatch(path):
            return scope
    noun = path.removeprefix("/api/").partition("/")[0] if path.startswith("/api/") else ""
    if noun not in _NOT_RESOURCES and any(kind.plural == noun for kind in KINDS.values()):
        return Scope.RESOURCES_READ if method in _READS else Scope.RESOURCES_WRITE
    return None


def granted(scopes: Collection[str]) -> frozenset[str]:
    """``scopes`` with everything that they include."""
    return frozenset(scopes) | {str(one) for scope in scopes for one in _INCLUDES.get(Scope(scope), ())}
