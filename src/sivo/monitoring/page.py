"""The table of metrics in ``docs/operations.md``, made from the declarations."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from sivo.monitoring.declared import BY_ROLE
from sivo.monitoring.metric import NUMBERED

_TOLD_BY = {
    "supervisor": "supervisor, or a role started alone",
    "probe": "/probe",
}


def table() -> str:
    """Markdown: one line for each metric."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "| metric | type | labels | what it says | told by |"
    yield "|---|---|---|---|---|"
    for role, metrics in BY_ROLE.items():
        for metric in metrics:
            labels = "; ".join(
                f"`{name}`: {'a number or name of this node' if values is NUMBERED else ', '.join(values)}"
                for name, values in metric.labels.items()
            )
            told = _TOLD_BY.get(role, role)
            yield f"| `{metric.name}` | {metric.kind.value} | {labels} | {metric.help} | {told} |"


if __name__ == "__main__":
    sys.stdout.write(table())
