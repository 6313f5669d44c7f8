"""What conformance tests saw, as a table on the terminal and in build/conformance.json (a pytest plugin)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from support.conformance import ROOT, WAITING

Evidence = Callable[[str, object], None]
_PROPERTY = "conformance"
REPORT = ROOT / "build" / "conformance.json"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "conformance(key, effect, observer): proves a configuration key")
    config.pluginmanager.register(_Table(again=bool(config.getoption("lf", False))), "conformance-table")


@pytest.fixture
def evidence(request: pytest.FixtureRequest) -> Evidence:
    """``evidence(key, what)``: what the observer saw of a key."""
    seen: dict[str, str] = {}
    marks = {str(mark.kwargs["key"]): mark.kwargs for mark in request.node.iter_markers("conformance")}

    def note(key: str, what: object) -> None:
        assert key in marks, f"{key} is not declared by this test"
        seen[key] = str(what)
        request.node.user_properties[:] = [one for one in request.node.user_properties if one[0] != _PROPERTY]
        rows = [{**kwargs, "evidence": seen.get(name, "")} for name, kwargs in marks.items()]
        request.node.user_properties.append((_PROPERTY, rows))

    return note


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    rows = [{**mark.kwargs, "evidence": ""} for mark in item.iter_markers("conformance")]
    if rows:
        item.user_properties.append((_PROPERTY, rows))


class _Table:
    """Collects reports, also those that workers of xdist send."""

    def __init__(self, *, again: bool) -> None:
        self.rows: dict[str, dict[str, Any]] = {}
        if again and REPORT.exists():  # what passed the first time is not run again
            self.rows = {row["key"]: row for row in json.loads(REPORT.read_text())}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and report.passed:
            return
        for name, rows in report.user_properties:
            if name == _PROPERTY and isinstance(rows, list):
                for row in rows:
                    self.rows[row["key"]] = {**row, "outcome": report.outcome, "test": report.nodeid}

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if not self.rows:
            return
        waiting = {one.key: f"{one.half} ({one.subsystem})" for one in WAITING}
        for key, row in self.rows.items():
            if row["outcome"] == "passed" and not row["evidence"]:
                row["outcome"] = "no evidence"
            row["waiting"] = waiting.get(key, "")
        terminalreporter.section("key · effect · observer · evidence")
        for key, row in sorted(self.rows.items()):
            mark = {"passed": "ok  "}.get(row["outcome"], row["outcome"].upper())
            later = f" · waits: {row['waiting']}" if row["waiting"] else ""
            terminalreporter.line(f"{mark} {key} · {row['effect']} · {row['observer']} · {row['evidence']}{later}")
        good = sum(row["outcome"] == "passed" for row in self.rows.values())
        terminalreporter.line(f"{good} of {len(self.rows)} keys shown")
        REPORT.parent.mkdir(exist_ok=True)
        rows = [self.rows[key] for key in sorted(self.rows)]
        REPORT.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
