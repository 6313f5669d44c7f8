"""What a probe found: one line for each route, table, cache, event topic, object and SIP request that was tried."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """Held: refused as it should be. Leaked: something of the other tenant got out or was changed. Uncovered: there is
    no probe for it, or the probe had nothing to try; an audit with one of these proves nothing and fails."""

    HELD = "held"
    LEAKED = "leaked"
    UNCOVERED = "uncovered"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried."""

    section: str
    name: str
    outcome: Outcome
    detail: str = ""

    def body(self) -> dict[str, str]:
        """As it stands in the report."""
        return {"section": self.section, "name": self.name, "outcome": self.outcome.value, "detail": self.detail}


@dataclass(slots=True)
class Findings:
    """All of one audit, in the order in which they were made."""

    items: list[Finding] = field(default_factory=list)

    def held(self, section: str, name: str, detail: str = "") -> None:
        """It was refused."""
        self.items.append(Finding(section, name, Outcome.HELD, detail))

    def leaked(self, section: str, name: str, detail: str) -> None:
        """It was not."""
        self.items.append(Finding(section, name, Outcome.LEAKED, detail))

    def uncovered(self, section: str, name: str, detail: str) -> None:
        """Nobody knows."""
        self.items.append(Finding(section, name, Outcome.UNCOVERED, detail))

    def judge(self, section: str, name: str, faults: list[str], detail: str = "") -> None:
        """Leaked if there are ``faults``, held if there are none."""
        if faults:
            self.leaked(section, name, "; ".join(faults))
        else:
            self.held(section, name, detail)

    @property
    def bad(self) -> list[Finding]:
        """Everything that makes the audit fail."""
        return [one for one in self.items if one.outcome is not Outcome.HELD]

    @property
    def verdict(self) -> str:
        """``isolated``, ``leaking`` or ``not covered``; a leak weighs more."""
        outcomes = {one.outcome for one in self.items}
        if Outcome.LEAKED in outcomes:
            return "leaking"
        return "isolated" if outcomes == {Outcome.HELD} else "not covered"

    def counts(self) -> dict[str, dict[str, int]]:
        """section -> outcome -> how many."""
        found: dict[str, dict[str, int]] = {}
        for one in self.items:
            section = found.setdefault(one.section, {outcome.value: 0 for outcome in Outcome})
            section[one.outcome.value] += 1
        return found

    def body(self) -> dict[str, Any]:
        """For the report."""
        return {"verdict": self.verdict, "counts": self.counts(), "findings": [one.body() for one in self.items]}
