"""What is counted, and that no label can grow."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from sivo.calls.figures import CallFigures, of_media, of_sip
from sivo.calls.store import EndRow
from sivo.media.clock import Lateness
from sivo.media.protocol import Interruption, MediaFigures, Note, ProviderFault, Turn
from sivo.monitoring import declared as d
from sivo.monitoring import page
from sivo.monitoring.book import Book
from sivo.monitoring.metric import NUMBERED, OTHER

ROOT = Path(__file__).parents[3]
AT = datetime(2026, 1, 1, tzinfo=UTC)


def samples(text: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (one.name, tuple(sorted(one.labels.items()))): one.value
        for family in text_string_to_metric_families(text.decode())
        for one in family.samples
    }


def test_every_metric_is_there_before_anything_has_happened() -> None:
    for role, metrics in d.BY_ROLE.items():
        told = {family.name for family in text_string_to_metric_families(Book(role).text().decode())}
        assert {metric.name.removesuffix("_total") for metric in metrics} == told


def test_names_follow_the_conventions_and_are_told_by_one_role_only() -> None:
    every = [metric for metrics in d.BY_ROLE.values() for metric in metrics]
    assert len({metric.name for metric in every}) == len(every)
    for metric in every:
        assert re.fullmatch(r"sivo_[a-z0-9_]+", metric.name)
        assert (metric.kind is d.COUNTER) == metric.name.endswith("_total")
        assert set(metric.labels).isdisjoint({"tenant", "call", "did", "number", "user", "address", "path"})


def test_a_call_is_counted_from_its_invite_to_its_cdr() -> None:
    figures = CallFigures()
    row: Any = SimpleNamespace(direction="inbound", created_at=AT)
    figures.started(row)
    figures.ringing(row, AT + timedelta(milliseconds=40))
    figures.answered(row, AT + timedelta(seconds=3))
    quality = {
        "caller": {"loss_percent": 2.0, "jitter_ms": 7.0, "rtt_ms": None, "mos": 4.1},
        "guest-1": {"loss_percent": None, "jitter_ms": None, "rtt_ms": None, "mos": None},
    }
    end = EndRow(AT, 1000, "NORMAL_CLEARING", "client", "caller", "", 4.1, {"quality": quality}, [])
    figures.ended(row, end)
    found = samples(figures.book.text())
    inbound = ("direction", "inbound")
    assert found["sivo_calls_started_total", (inbound,)] == 1
    assert found["sivo_calls_ended_total", (("category", "client"), inbound)] == 1
    assert found["sivo_call_ringing_seconds_sum", ()] == pytest.approx(0.04)
    assert found["sivo_call_setup_seconds_sum", (inbound,)] == pytest.approx(3)
    assert found["sivo_leg_loss_ratio_sum", (("leg", "caller"),)] == pytest.approx(0.02)
    assert found["sivo_leg_jitter_seconds_sum", (("leg", "caller"),)] == pytest.approx(0.007)
    assert found["sivo_leg_mos_sum", (("leg", "caller"),)] == pytest.approx(4.1)
    assert found["sivo_leg_mos_count", (("leg", "other"),)] == 0
    assert found["sivo_leg_round_trip_seconds_count", (("leg", "caller"),)] == 0, "what was never measured is no zero"


def test_what_conversations_tell() -> None:
    figures = CallFigures()
    figures.fact(ProviderFault(stage="tts", cause="slow", detail="x", at_ms=1))
    figures.fact(Interruption(at_ms=1, outcome="committed", voiced_ms=1, played_ms=1))
    turn = Turn(turn=1, user_text="a", user_start_ms=0, user_end_ms=1, reply_text="b", latency={"first_frame": 700.0})
    figures.fact(turn)
    found = samples(figures.book.text())
    assert found["sivo_provider_faults_total", (("cause", "slow"), ("stage", "tts"))] == 1
    assert found["sivo_interruptions_total", (("outcome", "committed"),)] == 1
    assert found["sivo_turn_response_seconds_sum", ()] == pytest.approx(0.7)


def test_a_stranger_cannot_make_a_series() -> None:
    figures = CallFigures()
    before = len(samples(figures.book.text()))
    for number in range(200):
        figures.message(SimpleNamespace(first_line=f"METHOD{number} sip:x SIP/2.0", direction="in", again=False))  # type: ignore[arg-type]
        figures.message(SimpleNamespace(first_line=f"SIP/2.0 {number + 600} x", direction="in", again=False))  # type: ignore[arg-type]
        figures.fact(ProviderFault(stage=f"s{number}", cause="x", detail="", at_ms=0))
    figures.message(SimpleNamespace(first_line="SIP/2.0 200 OK", direction="out", again=False))  # type: ignore[arg-type]
    figures.message(SimpleNamespace(first_line="SIP/2.0 200 OK", direction="out", again=True))  # type: ignore[arg-type]
    found = samples(figures.book.text())
    assert len(found) == before
    assert found["sivo_sip_messages_total", (("direction", "in"), ("kind", OTHER))] == 300
    assert found["sivo_sip_messages_total", (("direction", "in"), ("kind", "6xx"))] == 100
    assert found["sivo_sip_messages_total", (("direction", "out"), ("kind", "2xx"))] == 1


def test_media_figures_come_with_the_load_note() -> None:
    late = Lateness()
    for late_ms in (0.2, 0.7, 3.0, 300.0):
        late.add(late_ms)
    sent = MediaFigures(
        sessions=2, legs=3, late_below=late.below(0.5, 1.0, 5.0, 200.0), ticks=late.count, late_ms=late.total_ms
    )
    figures = CallFigures()
    figures.note(0, Note(session="", kind="load", data={"figures": msgspec.to_builtins(sent)}))
    figures.note(1, Note(session="", kind="load", data={"figures": {"sessions": "many"}}))
    assert set(figures.media) == {0}
    figures.book.source(lambda: of_media(0, figures.media[0]))
    found = samples(figures.book.text())
    zero = ("media", "0")
    buckets = [found["sivo_sender_lateness_seconds_bucket", (("le", le), zero)] for le in ("0.0005", "0.001", "0.005")]
    assert buckets == [1, 2, 3]
    assert found["sivo_sender_lateness_seconds_bucket", (("le", "+Inf"), zero)] == 4
    assert found["sivo_sender_lateness_seconds_sum", (zero,)] == pytest.approx(0.3039)
    assert found["sivo_media_legs", (zero,)] == 3


def test_reasons_that_nobody_declared_are_counted_together() -> None:
    from collections import Counter

    book = Book("call")
    book.source(lambda: of_sip(Counter({"dropped.malformed": 2, "dropped.new": 3, "dropped.newer": 4, "repeated": 5})))
    found = samples(book.text())
    assert found["sivo_sip_dropped_total", (("reason", "malformed"),)] == 2
    assert found["sivo_sip_dropped_total", (("reason", OTHER),)] == 7
    assert found["sivo_sip_retransmissions_total", ()] == 5


def expressions(node: Any) -> list[str]:
    if isinstance(node, dict):
        return [v for k, v in node.items() if k == "expr"] + [e for v in node.values() for e in expressions(v)]
    return [e for v in node for e in expressions(v)] if isinstance(node, list) else []


def metrics_in(expression: str) -> set[str]:
    """Names of metrics in PromQL: every sivo_ word."""
    return set(re.findall(r"\bsivo_[a-z0-9_]+", expression))


def test_every_panel_asks_for_declared_metrics_and_labels() -> None:
    dashboard = json.loads((ROOT / "deploy" / "grafana" / "sivo.json").read_text())
    declared = {metric.name: metric for metrics in d.BY_ROLE.values() for metric in metrics}
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            continue
        asked = [name for one in expressions(panel) for name in metrics_in(one)]
        assert asked, panel["title"]
        for name in asked:
            base = re.sub(r"_(bucket|sum|count)$", "", name)
            metric = declared.get(name) or declared.get(base)
            assert metric is not None, f"{panel['title']}: {name}"
            assert (name != metric.name) == (metric.kind is d.HISTOGRAM), f"{panel['title']}: {name}"
        known = {label for name in asked for label in declared[re.sub(r"_(bucket|sum|count)$", "", name)].labels}
        for one in expressions(panel):
            for group in re.findall(r"\bby\s*\(([^)]*)\)", one):
                grouped = {label.strip() for label in group.split(",")}
                assert grouped <= known | {"le", "instance"}, f"{panel['title']}: {one}"


def test_the_table_of_metrics_in_docs_is_the_one_that_follows_from_the_declarations() -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    assert page.table() in text, "stale: python -m sivo.monitoring.page, and put its output into docs/operations.md"


def test_labels_are_closed_lists() -> None:
    for metrics in d.BY_ROLE.values():
        for metric in metrics:
            for values in metric.labels.values():
                assert values is NUMBERED or 1 < len(values) < 25
