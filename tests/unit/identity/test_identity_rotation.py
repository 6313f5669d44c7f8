"""Refresh rotation against a model: whatever the history, a family never serves a token that it should not."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from sivo.identity.rotation import GRACE_S, Chain, Verdict, present

START = datetime(2026, 1, 1, tzinfo=UTC)
LIFE = 3600.0


@dataclass
class Model:
    """Keeps everything that ever happened and judges from the story, not from a summary."""

    #: token -> its parent; tokens are numbered in the order of their birth.
    parents: list[int | None] = field(default_factory=lambda: [None])
    #: (token, time, became) of every accepted use.
    uses: list[tuple[int, float, int]] = field(default_factory=list)
    revoked: bool = False

    def depth(self, token: int) -> int:
        parent = self.parents[token]
        return 0 if parent is None else 1 + self.depth(parent)

    def use(self, token: int, now: float) -> Verdict:
        if self.revoked:
            return Verdict.REVOKED
        if now >= LIFE:
            return Verdict.EXPIRED
        deepest = max(self.depth(one) for one in range(len(self.parents)))
        mine = [at for used, at, _ in self.uses if used == token]
        if self.depth(token) == deepest:
            verdict = Verdict.CHILD
        elif self.uses and len(mine) == 1 and self.depth(token) == deepest - 1 and now - mine[0] < GRACE_S:
            verdict = Verdict.GRACE
        else:
            self.revoked = True
            return Verdict.REPLAYED
        self.parents.append(token)
        self.uses.append((token, now, len(self.parents) - 1))
        return verdict


class Family:
    """The code under test, driven by token numbers."""

    def __init__(self) -> None:
        self.chain = Chain(0, START + timedelta(seconds=LIFE))
        self.generations = [0]

    def use(self, token: int, now: float) -> Verdict:
        verdict, self.chain = present(
            self.chain, bytes([token]), self.generations[token], START + timedelta(seconds=now)
        )
        if verdict in (Verdict.CHILD, Verdict.GRACE):
            self.generations.append(self.chain.generation)
        return verdict


#: (which of the tokens known so far, counted from the youngest; seconds before its use)
HISTORY = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from([0.0, 0.5, 5.0, 9.5, 9.999, 10.0, 10.5, 60.0, 900.0])), max_size=30
)


@settings(max_examples=500)
@given(HISTORY)
def test_every_history_is_judged_as_the_model_judges_it(history: list[tuple[int, float]]) -> None:
    model, family, now = Model(), Family(), 0.0
    for back, pause in history:
        now += pause
        token = max(0, len(model.parents) - 1 - back)
        assert family.use(token, now) == model.use(token, now), (history, token, now)


@settings(max_examples=300)
@given(HISTORY)
def test_nothing_is_served_after_a_replay_or_after_the_absolute_end(history: list[tuple[int, float]]) -> None:
    family, now, ended = Family(), 0.0, False
    for back, pause in history:
        now += pause
        verdict = family.use(max(0, len(family.generations) - 1 - back), now)
        if ended or now >= LIFE:
            assert verdict not in (Verdict.CHILD, Verdict.GRACE)
        ended = ended or verdict is Verdict.REPLAYED


def test_the_grace_covers_the_immediate_predecessor_only() -> None:
    """django-oauth-toolkit#1617: tokens several generations old were taken inside the window."""
    family = Family()
    assert [family.use(0, 0.0), family.use(1, 1.0), family.use(2, 2.0)] == [Verdict.CHILD] * 3
    assert family.use(1, 3.0) is Verdict.REPLAYED
    assert family.use(3, 3.0) is Verdict.REVOKED


def test_the_predecessor_gets_one_new_child() -> None:
    family = Family()
    assert family.use(0, 0.0) is Verdict.CHILD
    assert family.use(0, 9.9) is Verdict.GRACE
    assert family.use(2, 10.0) is Verdict.CHILD, "the second child is as good as the lost one"
    assert family.use(1, 10.1) is Verdict.REPLAYED, "but then the first one is old"


def test_a_third_use_is_a_replay_and_so_is_one_after_ten_seconds() -> None:
    thrice = Family()
    assert [thrice.use(0, 0.0), thrice.use(0, 1.0), thrice.use(0, 2.0)] == [
        Verdict.CHILD,
        Verdict.GRACE,
        Verdict.REPLAYED,
    ]
    late = Family()
    assert [late.use(0, 0.0), late.use(0, 10.0)] == [Verdict.CHILD, Verdict.REPLAYED]
