"""The page ``docs/reference/permissions.md``, made from the table that the gates read."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from sivo.identity.permissions import TABLE, Role

_HEAD = """# Permissions

Made from `identity/permissions.py` by `python -m sivo.identity.permissions_page`. Every route names one line of this
table; a test asks every route with every role. Who lacks the permission gets 403 `INSUFFICIENT_ROLE`.

`own`: what belongs to the person, for calls those to and from extensions that were theirs at the time. `part`: some
fields. A superadmin names a tenant with `X-Tenant-Id`; that stands in the tenant's audit log (`crossTenant`), request
by request. API keys have a role of this table and, besides, scopes.
"""


def page() -> str:
    """The whole page."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield _HEAD
    yield f"| permission | covers | {' | '.join(role.value for role in Role)} |"
    yield "|---|---" + "|---" * len(Role) + "|"
    for permission, grant in TABLE.items():
        cells = " | ".join(grant.reach(role).value for role in Role)
        yield f"| `{permission.value}` | {grant.covers} | {cells} |"


if __name__ == "__main__":
    sys.stdout.write(page())
