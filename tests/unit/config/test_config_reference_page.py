"""What follows from the declarations of the keys: reference page, JSON Schema, life cycle."""

from __future__ import annotations

from pathlib import Path

from sivo.config import reference_page
from sivo.config.registry import KEYS
from sivo.config.renamed import Renamed, current
from sivo.config.schema import document_schema, patch_schema

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "configuration.md"


def test_the_page_in_docs_is_the_one_that_follows_from_the_declarations() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference_page.page(), (
        "stale: python -m sivo.config.reference_page > docs/reference/configuration.md"
    )


def test_the_page_tells_everything_of_every_key() -> None:
    page = reference_page.page()
    assert page.count("\n### `") == len(KEYS) == 40
    for key in KEYS.values():
        entry = page.split(f"### `{key.name}`")[1].split("\n### `")[0]
        assert key.help in entry and f"| takes effect | {key.when} |" in entry and f"| since | {key.since} |" in entry


def test_the_schemas_know_exactly_the_keys() -> None:
    assert list(document_schema()["properties"]) == list(KEYS)
    assert list(patch_schema()["properties"]) == [key.name for key in KEYS.values() if key.scopes]
    assert document_schema()["properties"]["webhooks.signing_secret"]["const"] == "***"
    turns = patch_schema()["properties"]["ai.max_turns"]["anyOf"][0]
    assert (turns["minimum"], turns["maximum"]) == (1, 200) and "Default: 20" in turns["description"]


def test_a_renamed_key_is_found_under_its_old_name() -> None:
    table = {
        "ai.max_minutes": Renamed("ai.max_seconds", "0.2.0", lambda minutes: minutes * 60),
        "ai.max_seconds": Renamed("ai.max_duration_sec", "0.3.0"),
    }
    assert current("ai.max_minutes", 5, table) == ("ai.max_duration_sec", 300)
    assert current("ai.max_turns", 7, table) == ("ai.max_turns", 7)


def test_the_description_of_a_key_has_its_life_cycle() -> None:
    described = KEYS["ai.max_turns"].describe()
    assert (described["since"], described["deprecated"], described["replaced_by"]) == ("0.1.0", None, None)
