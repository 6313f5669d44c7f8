"""Rules and warnings that rooms add to every change-set, since they look at what this room knows nothing about.

A rule raises SivoError and refuses the change-set. A warning is told beside what was done: in the plan, and in the
answer to the change.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from sivo.config.change import Warned
from sivo.config.draft import Draft
from sivo.config.resolve import Resolver
from sivo.db.scopes import Connection

#: Gets the draft with all its changes, before rules between keys are checked.
Rule = Callable[[Connection, Draft], Awaitable[None]]
#: Gets the draft and the effective values as they will be.
Watcher = Callable[[Connection, Draft, Resolver], Awaitable[list[Warned]]]

_RULES: list[Rule] = []
_WATCHERS: list[Watcher] = []


def rule(check: Rule) -> Rule:
    """Register a rule, once, from a room's ``resources.py``."""
    if check not in _RULES:
        _RULES.append(check)
    return check


def watcher(watch: Watcher) -> Watcher:
    """Register a warning, once, from a room's ``resources.py``."""
    if watch not in _WATCHERS:
        _WATCHERS.append(watch)
    return watch


async def check(connection: Connection, draft: Draft) -> None:
    """Raise the first rule that the draft breaks."""
    for one in _RULES:
        await one(connection, draft)


async def warnings(connection: Connection, draft: Draft, effective: Resolver) -> tuple[Warned, ...]:
    """Everything that somebody should know before this is done."""
    return tuple([told for watch in _WATCHERS for told in await watch(connection, draft, effective)])
