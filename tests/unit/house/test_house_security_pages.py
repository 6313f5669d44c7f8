"""Every test that the security pages name exists, and the pages' own links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGES = sorted((ROOT / "docs" / "security").glob("*.md"))
_TEST = re.compile(r"`([a-z0-9_/]+\.py)::(test_[a-z0-9_]+)`")
_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def named_tests(page: Path) -> list[tuple[str, str]]:
    return _TEST.findall(page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_named_test_exists(page: Path) -> None:
    missing = []
    for path, name in named_tests(page):
        file = ROOT / "tests" / path
        if not file.is_file() or not re.search(rf"^(async )?def {name}\(", file.read_text(encoding="utf-8"), re.M):
            missing.append(f"{path}::{name}")
    assert not missing


@pytest.mark.parametrize("page", [*PAGES, ROOT / "SECURITY.md"], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = _LINK.findall(page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_table_is_a_table_of_tests_with_its_gaps_named() -> None:
    text = (ROOT / "docs" / "security" / "asvs.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:-1] for line in text.splitlines() if re.match(r"\| \d", line)]
    assert len(rows) > 80 and len({path for path, _ in named_tests(ROOT / "docs" / "security" / "asvs.md")}) > 25
    for row in rows:
        state = row[3].strip().strip("*")
        assert state in {"met", "partly", "gap"}, row
        shown = row[4]
        assert state != "met" or "::test_" in shown or "](" in shown or "linter" in shown or "`make" in shown, row
    gaps = text.partition("## The gaps in one place")[2]
    for row in rows:
        if row[3].strip().strip("*") == "gap":
            assert row[0].strip().split(",")[0].split("–")[0].rpartition(".")[0] in gaps, row
