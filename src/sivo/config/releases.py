"""What a release declares as the defaults of the keys, and what becomes of it when another release says otherwise.

A default is nobody's setting, so no ledger would tell when it changed. The first start of a release compares what it
declares with what was recorded last; every default that differs is one record of one entry on the platform's chain, by
``release:<version>``. From it come the explanation of such a value, and the default of that time for questions about
the past.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from typing import Any

from sivo.audit import ledger
from sivo.audit.canonical import canonical
from sivo.audit.chain import ChangeRecord, Link, Signer
from sivo.audit.checkpoints import Checkpoints
from sivo.base import logs
from sivo.base.clock import Clock
from sivo.config.changes import MAX_REASON, announce
from sivo.config.defaults import TARGET, WAS, DefaultChange, halves, record_of, said
from sivo.config.kinds import PLATFORM_ID
from sivo.config.registry import KEYS
from sivo.db.scopes import Connection, Database

#: The author's role in the ledger.
ROLE = "release"
_REASON = "config: defaults of this release"
_log = logs.get("config")


async def follow(database: Database, clock: Clock, signer: Signer, checkpoints: Checkpoints) -> int:
    """Compare what is declared with what was recorded last, and write down what differs; how many defaults did.

    What is not recorded at all (a new installation, a new key) is recorded without an entry: nothing changed. Safe to
    run in several processes at once.
    """
    now = {name: record_of(key.default) for name, key in KEYS.items()}
    async with database.platform(_REASON) as connection:
        rows = await connection.fetch("select key, hash from key_default where key = any($1)", list(now))
    if {row["key"]: row["hash"] for row in rows} == {name: _hash(value) for name, value in now.items()}:
        return 0
    async with database.platform(_REASON) as connection:
        made, records = await _record(connection, now, clock.now(), signer)
    if made is not None:
        await asyncio.to_thread(checkpoints.write, ledger.checkpoint_of(made))
        _log.warning("defaults changed", keys=[one.target.removeprefix(TARGET) for one in records])
    return len(records)


async def default_changes(connection: Connection) -> list[DefaultChange]:
    """Every default that a release has changed, oldest first; in a scope that reads the platform's chain."""
    rows = await connection.fetch(
        "select c.target, c.after, e.author, e.at, e.reason, e.seq from ledger_change c"
        " join ledger_entry e on e.tenant_id = c.tenant_id and e.seq = c.seq"
        " where c.tenant_id = $1 and c.target like 'default/%' order by c.seq, c.n",
        PLATFORM_ID,
    )
    return [
        DefaultChange(row["target"].removeprefix(TARGET), *halves(row["after"]), *list(row.values())[2:])
        for row in rows
    ]


async def _record(
    connection: Connection, now: Mapping[str, Any], at: datetime, signer: Signer
) -> tuple[Link | None, Sequence[ChangeRecord]]:
    """Under the lock of the platform's chain: who comes second finds nothing left to do."""
    head = await ledger.lock_head(connection, PLATFORM_ID)
    rows = await connection.fetch("select key, value, hash, seq from key_default")
    known = {row["key"]: dict(row) for row in rows}
    release, made = version("sivo"), None
    records = [_change(name, known[name], value) for name, value in now.items() if _differs(known, name, value)]
    texts = {one.target.removeprefix(TARGET): one.after for one in records}
    if records:
        reason, author = _reason(release, records), f"release:{release}"
        made = await ledger.append(connection, PLATFORM_ID, head, at, author, ROLE, reason, records, signer)
        await announce(connection, PLATFORM_ID, made.seq)
    for name, value in now.items():
        if name not in known or name in texts:
            seq = made.seq if made is not None and name in texts else None
            await connection.execute(
                "insert into key_default (key, value, hash, release, at, seq) values ($1, $2, $3, $4, $5, $6)"
                " on conflict (key) do update set value = excluded.value, hash = excluded.hash,"
                " release = excluded.release, at = excluded.at, seq = excluded.seq",
                name,
                texts.get(name, value),
                _hash(value),
                release,
                at,
                seq,
            )
    return made, records


def _differs(known: Mapping[str, Any], name: str, value: Any) -> bool:
    return name in known and known[name]["hash"] != _hash(value)


def _change(name: str, row: Mapping[str, Any], value: dict[str, Any]) -> ChangeRecord:
    """The first change of a default has no predecessor in the ledger, so each carries what it was."""
    was = {part: text for part, text in row["value"].items() if part != WAS}
    return ChangeRecord(f"{TARGET}{name}", row["value"] if row["seq"] is not None else None, {**value, WAS: was})


def _reason(release: str, records: Sequence[ChangeRecord]) -> str:
    changed = [(one.target.removeprefix(TARGET), *halves(one.after)) for one in records]
    told = [f"{name} from {_text(was)} to {_text(now)}" for name, was, now in changed]
    text = f"release {release} changes the default of " + ", ".join(told)
    return text if len(text) <= MAX_REASON else f"{text[: MAX_REASON - 1]}…"


def _text(record: Mapping[str, Any]) -> str:
    return json.dumps(said(record), ensure_ascii=False, sort_keys=True)


def _hash(value: Any) -> str:
    return hashlib.sha256(canonical(value)).hexdigest()
