"""How a change-set stands in the audit log: one line for each thing it changed, with the number of its ledger entry.

Before and after are in the ledger and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence

from sivo.audit.chain import ChangeRecord
from sivo.audit.log import Action, AuditEntry
from sivo.config.change import Author

EVENT = "config.changed"


def entries(author: Author, seq: int, records: Sequence[ChangeRecord]) -> list[AuditEntry]:
    """The lines of ledger entry ``seq``. A key is ``key`` and its name, with its scope unless that is the tenant."""
    found = []
    for one in records:
        kind, _, rest = one.target.partition("/")
        action: Action = "create" if one.before is None else "delete" if one.after is None else "update"
        found.append(
            author.did(action, EVENT, kind, rest.removeprefix("tenant//") if kind == "key" else rest, None, seq)
        )
    return found
