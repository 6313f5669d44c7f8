"""Plans as data, and the order in which tables are emptied."""

from __future__ import annotations

import io
import tarfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sivo.base.errors import SivoError
from sivo.base.settings import Settings
from sivo.config import all_kinds
from sivo.tenants.plans import ORDER, Violation, check_setting, definition, violations
from sivo.tenants.tables import in_order
from sivo.tenants.tar import Tar


def test_what_is_published_of_the_plans() -> None:
    plans = [definition(name, Settings()) for name in ORDER]
    assert [one.recording_retention_days for one in plans] == [30, 180, 365]
    assert [one.max_recording_retention_days for one in plans] == [30, 180, None]
    assert [one.audit_retention_days for one in plans] == [30, 365, 2557]
    assert [one.custom_rate_limits for one in plans] == [False, False, True]
    assert all(one.max_resources == {} for one in plans)


def test_a_plan_that_is_not_there() -> None:
    with pytest.raises(SivoError, match="NOT_FOUND"):
        definition("gold", Settings())


def test_every_violation_is_listed_and_nothing_else() -> None:
    starter = definition("starter", Settings(plan_limits={"starter": {"dids": 1, "extensions": 3}}))
    found = violations(starter, {"b": 31, "a": 400, "c": 30}, {"dids": 2, "extensions": 3, "trunks": 99})
    assert found == (Violation("dids", 2, 1), Violation("a", 400, 30), Violation("b", 31, 30))
    assert violations(definition("enterprise", Settings()), {"a": 3650}, {"dids": 9999}) == ()


@pytest.mark.parametrize("limits", [{"gold": {"dids": 1}}, {"starter": {"dozens": 1}}])
def test_a_limit_of_nothing_is_refused(limits: dict[str, dict[str, int]]) -> None:
    all_kinds.load()
    check_setting(Settings(plan_limits={"starter": {"dids": 1}}))
    with pytest.raises(SivoError, match="SIVO_PLAN_LIMITS"):
        check_setting(Settings(plan_limits=limits))


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=30))
def test_children_are_emptied_before_what_they_refer_to(pairs: list[tuple[int, int]]) -> None:
    references = [(f"t{max(pair):02}", f"t{min(pair):02}") for pair in pairs if pair[0] != pair[1]]
    names = [f"t{number:02}" for number in range(13)]
    found = in_order(names, references)
    assert sorted(found) == names
    assert all(found.index(child) < found.index(parent) for child, parent in references)


def test_a_ring_of_tables_is_an_error() -> None:
    with pytest.raises(ValueError, match="ring"):
        in_order(["a", "b"], [("a", "b"), ("b", "a")])


async def test_an_archive_that_is_made_while_it_is_sent_is_one_that_tar_reads() -> None:
    tar = Tar(datetime(2026, 1, 1, tzinfo=UTC))

    async def pieces() -> AsyncIterator[bytes]:
        for number in range(700):
            yield bytes([number % 256])

    whole = tar.member("a.txt", b"hello")
    whole += b"".join([one async for one in tar.long_member("audio/b.wav", 700, pieces())])
    whole += tar.end({"format": 1})
    with tarfile.open(fileobj=io.BytesIO(whole)) as read:
        assert read.getnames() == ["a.txt", "audio/b.wav", "manifest.json"]
        member = read.extractfile("audio/b.wav")
        assert member is not None and member.read() == bytes(number % 256 for number in range(700))
    with pytest.raises(ValueError, match="announced"):
        _ = [one async for one in tar.long_member("c", 701, pieces())]
