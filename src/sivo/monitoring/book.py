"""One process's numbers: counted as things happen, or read when somebody asks; rendered as Prometheus text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family

from sivo.monitoring.declared import BY_ROLE
from sivo.monitoring.metric import Kind, Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_MADE: dict[Kind, Any] = {Kind.COUNTER: Counter, Kind.GAUGE: Gauge, Kind.HISTOGRAM: Histogram}
disable_created_metrics()  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class Distribution:
    """A histogram that somebody else keeps: how many values were below each bound, their sum (s) and number."""

    below: tuple[tuple[float, int], ...]
    total: float
    count: int


#: Metric, labels, value.
Reading = tuple[Metric, dict[str, str], float | Distribution]
Source = Callable[[], Iterable[Reading]]


class Book:
    """The registry of one role: exactly what :data:`~sivo.monitoring.declared.BY_ROLE` says, from the first moment."""

    def __init__(self, role: str) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._read = [metric for metric in BY_ROLE[role] if metric.read]
        self._sources: list[Source] = []
        self._kept: dict[str, Any] = {}
        self._found: dict[tuple[str, ...], Any] = {}
        for metric in BY_ROLE[role]:
            if not metric.read:
                self._kept[metric.name] = self._make(metric)
        self._registry.register(self)

    def _make(self, metric: Metric) -> Any:
        more = {"buckets": metric.buckets} if metric.buckets else {}
        made = _MADE[metric.kind](
            metric.name, metric.help, labelnames=tuple(metric.labels), registry=self._registry, **more
        )
        if metric.labels:
            for labels in metric.series():
                made.labels(**labels)  # a series that begins with its first event hides that event from rate()
        return made

    def count(self, metric: Metric, amount: float = 1.0, **labels: str) -> None:
        """Something happened."""
        self._series(metric, labels).inc(amount)

    def observe(self, metric: Metric, value: float, **labels: str) -> None:
        """Something was measured (in the metric's unit)."""
        self._series(metric, labels).observe(value)

    def source(self, read: Source) -> None:
        """``read`` gives values of metrics that are declared ``read``; asked at each scrape, must be quick."""
        self._sources.append(read)

    def text(self) -> bytes:
        """Everything, in the text format 0.0.4."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Family]:
        """For the registry: what is read now."""
        found: dict[str, list[Reading]] = {metric.name: [] for metric in self._read}
        for read in self._sources:
            for reading in read():
                found[reading[0].name].append(reading)
        for metric in self._read:
            yield family(metric, found[metric.name])

    def _series(self, metric: Metric, labels: dict[str, str]) -> Any:
        made = self._kept[metric.name]
        if not labels:
            return made
        # Label values are few (those that are none of the label's become one), so what was found once is kept.
        place = (metric.name, *(metric.fitting(name, value) for name, value in labels.items()), *labels)
        series = self._found.get(place)
        if series is None:
            series = self._found[place] = made.labels(
                **{name: metric.fitting(name, value) for name, value in labels.items()}
            )
        return series


def family(metric: Metric, readings: Iterable[Reading]) -> Family:
    """A family of values that were read elsewhere."""
    names = tuple(metric.labels)
    if metric.kind is Kind.HISTOGRAM:
        histogram = HistogramMetricFamily(metric.name, metric.help, labels=names)
        for _, labels, value in readings:
            assert isinstance(value, Distribution)
            buckets = [(str(bound), float(count)) for bound, count in value.below]
            histogram.add_metric(_values(metric, labels), [*buckets, ("+Inf", float(value.count))], value.total)
        return histogram
    made: Any = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
    plain = made(metric.name, metric.help, labels=names)
    summed: dict[tuple[str, ...], float] = {}
    for _, labels, value in readings:
        assert not isinstance(value, Distribution)
        key = tuple(_values(metric, labels))
        summed[key] = summed.get(key, 0.0) + value
    for key, value in summed.items():
        plain.add_metric(list(key), value)
    return plain  # type: ignore[no-any-return]


def _values(metric: Metric, labels: dict[str, str]) -> list[str]:
    return [metric.fitting(name, labels[name]) for name in metric.labels]
