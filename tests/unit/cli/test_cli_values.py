"""What people type after --set and `config set`, and what the platform gets."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from sivo.cli.assignments import assign, body_from, parse_value
from sivo.cli.client import CliError
from sivo.cli.config import typed
from sivo.cli.output import table


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0100", "0100"),
        ("+34910000100", "+34910000100"),
        ("true", True),
        ("null", None),
        ("[]", []),
        ('{"a": 1}', {"a": 1}),
        ("hello world", "hello world"),
        ("", ""),
        ("12", "12"),
    ],
)
def test_values(text: str, value: Any) -> None:
    assert parse_value(text) == value


def test_dots_reach_into_objects() -> None:
    body: dict[str, Any] = {"target": {"kind": "extension"}}
    assign(body, "target.id=7")
    assign(body, "url=https://x.example/?a=b")
    assert body == {"target": {"kind": "extension", "id": "7"}, "url": "https://x.example/?a=b"}


@pytest.mark.parametrize("assignment", ["number", "=x", "number.part=1", "list=[1,"])
def test_what_cannot_be_read_is_refused(assignment: str) -> None:
    with pytest.raises(CliError) as caught:
        assign({"number": "1"}, assignment)
    assert caught.value.status == 2


def test_file_then_assignments(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"name": "a", "active": True}))
    assert body_from(path, ["name=b"]) == {"name": "b", "active": True}


def test_body_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO('{"name": "a"}'))
    assert body_from(Path("-"), []) == {"name": "a"}


@pytest.mark.parametrize("content", ["[1]", "nonsense"])
def test_a_file_without_an_object_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(CliError):
        body_from(path, [])


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        ({"type": "integer"}, "7", 7),
        ({"type": "string"}, "7", "7"),
        ({"enum": ["wav", "mp3"]}, "wav", "wav"),
        ({"type": "boolean"}, "true", True),
        ({"type": "array"}, '["admin"]', ["admin"]),
        ({"type": "integer"}, "many", "many"),
    ],
)
def test_config_values_have_the_type_of_their_key(schema: dict[str, Any], text: str, value: Any) -> None:
    assert typed(schema, text) == value


def test_columns_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    table([{"id": "1", "events": ["*"], "host": None}], ("id", "events", "host"))
    assert capsys.readouterr().out == 'id  events  host\n1   ["*"]   -\n'
