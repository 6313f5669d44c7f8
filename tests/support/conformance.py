"""One declared test per configuration key, what it saw, and which halves wait for a subsystem that is not there yet.

``@conformance(key, effect, observer)`` stands on the test that proves a key; a test may prove several. What the
observer saw is handed to the fixture ``evidence`` and printed by ``make conformance``. ``docs/conformance.md`` says how
to read it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests" / "conformance"
SOURCE = ROOT / "src" / "sivo"


def conformance(key: str, effect: str, observer: str) -> pytest.MarkDecorator:
    """This test shows ``effect`` of ``key`` as ``observer`` sees it, which is no code of the product."""
    return pytest.mark.conformance(key=key, effect=effect, observer=observer)


@dataclass(frozen=True)
class Waiting:
    """``half`` of a key's effect cannot be shown before ``subsystem`` is there.

    ``signs`` are paths below ``src/sivo``, or ``path:text`` for a text in one: as soon as one is found the subsystem
    exists, and the mark has to go.
    """

    key: str
    half: str
    subsystem: str
    signs: tuple[str, ...]

    def over(self) -> str:
        """The sign that the subsystem exists; empty while it does not."""
        return next((sign for sign in self.signs if _found(sign)), "")


def _found(sign: str) -> bool:
    place, _, text = sign.partition(":")
    path = SOURCE / place
    if not text:
        return path.exists()
    files = path.rglob("*.py") if path.is_dir() else [path] if path.exists() else []
    return any(text in file.read_text() for file in files)


_SALESFORCE = ("salesforce",)
_S3 = ("storage:S3Store", "storage/s3.py", "storage/providers.py")
_CONSOLE = ("console",)
#: The only marks there may be.
WAITING = (
    *(
        Waiting(f"sf.{name}", "everything beyond its schema", "Salesforce", _SALESFORCE)
        for name in (
            "connected_orgs",
            "jwt_keypair_id",
            "scrt_base_url",
            "user_mappings",
            "push_transcripts",
            "message_provider_name",
        )
    ),
    Waiting("transcription.push_to_sf", "segments in Salesforce", "Salesforce", _SALESFORCE),
    Waiting("recording.kms_enabled", "SSE-KMS on a bucket", "S3", _S3),
    Waiting("recording.default_provider_id", "the object lands in another store", "S3", _S3),
    Waiting("tenant.default_locale", "language of the console", "console", _CONSOLE),
    Waiting("tenant.dashboard_url", "tenant and branding of the console", "console", _CONSOLE),
)


@dataclass(frozen=True)
class Declared:
    """A declaration as it stands in a test module."""

    key: str
    effect: str
    observer: str
    test: str


def declared() -> Iterator[Declared]:
    """Every declaration below tests/conformance, read without importing anything."""
    for path in sorted(TESTS.glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for call in node.decorator_list:
                    if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "conformance":
                        texts = [one.value for one in call.args if isinstance(one, ast.Constant)]
                        key, effect, observer = (str(text) for text in texts)
                        yield Declared(key, effect, observer, f"{path.name}::{node.name}")
