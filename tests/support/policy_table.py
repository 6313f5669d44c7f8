"""Policies of every scope, and what is decided on calls between different parties: one table for rules, API and CLI.

Ann, Bob and Eve are people, Guest and Other are phones of nobody; ``sales`` and ``private`` are queues.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Rule:
    """A policy by name: ``target`` is a DID, a queue or a person of the table."""

    name: str
    scope: str
    target: str = ""
    active: bool = True
    recording: tuple[tuple[str, Any], ...] = ()
    words: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class Case:
    """A call and, by what is decided, the value with the name of the rule that gives it."""

    title: str
    caller: str
    callee: str
    expected: dict[str, tuple[Any, str]]
    did: str = ""
    queue: str = ""

    @property
    def people(self) -> tuple[str, ...]:
        """Who of the parties is a person."""
        return tuple(one for one in (self.caller, self.callee) if one in PEOPLE)


PEOPLE = ("ann", "bob", "eve")
QUEUES = ("sales", "private", "unknown")

RULES = (
    Rule(
        "house",
        "tenant",
        recording=(("format", "mp3"), ("retention_days", 100)),
        words=(("language", "de"), ("engine", "whisper"), ("retention_days", 60)),
    ),
    Rule("hotline", "did", "hotline", recording=(("format", "ogg"),), words=(("language", "fr"),)),
    Rule(
        "sales",
        "queue",
        "sales",
        recording=(("retention_days", 50),),
        words=(("language", "it"), ("speaker_separation", False)),
    ),
    Rule("private", "queue", "private", active=False),
    Rule("ann", "agent", "ann", recording=(("retention_days", 20),), words=(("retention_days", 7),)),
    Rule(
        "bob",
        "agent",
        "bob",
        recording=(("retention_days", 10), ("format", "wav")),
        words=(("retention_days", 9), ("language", "pt")),
    ),
    Rule("eve", "agent", "eve", active=False),
)

FORMAT, DAYS = "recording.format", "recording.retention_days"
WORDS, LANGUAGE, WORDS_DAYS = "transcribed", "transcription.language", "transcription.retention_days"
SPLIT, ENGINE = "transcription.speaker_separation", "transcription.engine"
NOTHING = {"recorded", WORDS}


def _nothing(rule: str) -> dict[str, tuple[Any, str]]:
    return dict.fromkeys(NOTHING, (False, rule))


CASES = (
    Case(
        "tenant-wide alone",
        "guest",
        "other",
        {
            "recorded": (True, "house"),
            FORMAT: ("mp3", "house"),
            DAYS: (100, "house"),
            LANGUAGE: ("de", "house"),
            SPLIT: (True, "key transcription.speaker_separation"),
        },
    ),
    Case(
        "a DID beats the tenant in what it sets",
        "guest",
        "other",
        {FORMAT: ("ogg", "hotline"), DAYS: (100, "house"), LANGUAGE: ("fr", "hotline"), ENGINE: ("whisper", "house")},
        did="hotline",
    ),
    Case(
        "a queue beats the DID in what it sets",
        "guest",
        "other",
        {
            "recorded": (True, "sales"),
            FORMAT: ("ogg", "hotline"),
            DAYS: (50, "sales"),
            LANGUAGE: ("it", "sales"),
            SPLIT: (False, "sales"),
            ENGINE: ("whisper", "house"),
        },
        did="hotline",
        queue="sales",
    ),
    Case("a queue without a DID", "guest", "other", {FORMAT: ("mp3", "house"), DAYS: (50, "sales")}, queue="sales"),
    Case("a queue that says no", "guest", "other", _nothing("private"), queue="private"),
    Case("its no beats the DID's yes", "guest", "other", _nothing("private"), did="hotline", queue="private"),
    Case(
        "a queue without a policy changes nothing",
        "guest",
        "other",
        {"recorded": (True, "house"), DAYS: (100, "house")},
        queue="unknown",
    ),
    Case(
        "a person beats the queue in what they set",
        "ann",
        "other",
        {
            "recorded": (True, "ann"),
            FORMAT: ("ogg", "hotline"),
            DAYS: (20, "ann"),
            LANGUAGE: ("it", "sales"),
            WORDS_DAYS: (7, "ann"),
        },
        did="hotline",
        queue="sales",
    ),
    Case("a person's yes beats the queue's no", "ann", "other", {"recorded": (True, "ann")}, queue="private"),
    Case(
        "the stricter of two people",
        "ann",
        "bob",
        {DAYS: (10, "bob"), FORMAT: ("wav", "bob"), WORDS_DAYS: (7, "ann"), LANGUAGE: ("pt", "bob")},
        queue="sales",
    ),
    Case(
        "whoever of the two calls",
        "bob",
        "ann",
        {DAYS: (10, "bob"), FORMAT: ("wav", "bob"), WORDS_DAYS: (7, "ann"), LANGUAGE: ("pt", "bob")},
        queue="sales",
    ),
    Case("a person's no beats every yes", "bob", "eve", _nothing("eve"), queue="sales"),
    Case("on either side", "eve", "other", _nothing("eve"), did="hotline", queue="sales"),
)
