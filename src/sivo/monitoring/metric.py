"""What a metric is: declared once, with every value that its labels can have, so that series stay few."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from itertools import product

#: A label's value is one of a handful of small numbers or names that the node's own settings make.
NUMBERED = ("0, 1, 2 …",)
#: What is none of a label's values counts as this.
OTHER = "other"


class Kind(Enum):
    """Types of the Prometheus exposition format."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One family. ``labels``: the closed list of values of each label. ``buckets``: upper bounds of a histogram.

    ``read``: its values stand elsewhere and are read when somebody asks (:meth:`sivo.monitoring.book.Book.source`).
    """

    name: str
    kind: Kind
    help: str
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    buckets: tuple[float, ...] = ()
    read: bool = False

    def fitting(self, label: str, value: str) -> str:
        """``value``, or :data:`OTHER` when it is none of the label's."""
        allowed = self.labels[label]
        return value if allowed is NUMBERED or value in allowed else OTHER

    def series(self) -> Iterator[dict[str, str]]:
        """Every combination of label values; none when a label is numbered."""
        if not any(values is NUMBERED for values in self.labels.values()):
            for values in product(*self.labels.values()):
                yield dict(zip(self.labels, values, strict=True))
