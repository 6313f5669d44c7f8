"""The mutation run (a pytest plugin): the declared test of each key, red while its consumers read the shipped default.

A key is *killed* when its test fails although nothing but its value was taken away, and a consumer had asked for it.
``make conformance`` has to be green beside it, or red would mean nothing.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import mutation_patches
import pytest

_FILE = Path(os.environ["SIVO_TEST_MUTATION_FILE"])
#: Read-only views: their default is the only value that they can have before their subsystem exists.
NO_OTHER_VALUE = {"sf.connected_orgs", "sf.user_mappings"}
_verdicts: dict[str, str] = {}


@pytest.fixture
def mutated_key(request: pytest.FixtureRequest) -> str:
    """The key whose value is taken away in this run of the test."""
    return str(request.param)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    keys = [str(mark.kwargs["key"]) for mark in metafunc.definition.iter_markers("conformance")]
    keys = [key for key in keys if key not in NO_OTHER_VALUE]
    if keys:
        metafunc.fixturenames.append("mutated_key")
        metafunc.parametrize("mutated_key", keys, indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    kept = [item for item in items if "mutated_key" in getattr(item, "callspec", _NONE).params]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


class _NONE:
    params: dict[str, Any] = {}  # noqa: RUF012


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    key = str(item.callspec.params["mutated_key"])  # type: ignore[attr-defined]
    mutation_patches.READ.unlink(missing_ok=True)
    _FILE.write_text(key)
    try:
        yield
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        if mutation_patches.READ.exists():
            _verdicts[key] = f"red: {str(error).strip().splitlines()[0][:110] if str(error).strip() else error!r}"
            return
        _verdicts[key] = "FAILED WITHOUT ASKING FOR THE KEY"
        raise
    else:
        _verdicts[key] = "SURVIVED"
        pytest.fail(f"{key} was read as its shipped default, and its test did not notice")
    finally:
        _FILE.write_text("")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    terminalreporter.section("mutation run: consumers read the shipped default")
    for key, verdict in sorted(_verdicts.items()):
        terminalreporter.line(f"{key}: {verdict}")
    red = sum(verdict.startswith("red") for verdict in _verdicts.values())
    terminalreporter.line(f"{red} of {len(_verdicts)} keys turn red; no other value yet: {sorted(NO_OTHER_VALUE)}")
