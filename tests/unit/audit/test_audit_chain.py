"""The hash chain: whatever is done to an entry afterwards shows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from sivo.audit.canonical import canonical
from sivo.audit.chain import GENESIS, ChangeRecord, Link, check_link, link, replay, signed_bytes
from sivo.audit.checkpoints import Checkpoint, Checkpoints, DamagedCheckpointError
from sivo.audit.keys import LedgerKey
from sivo.base.errors import SivoError

CHAIN = UUID("0198c5a0-0000-7000-8000-000000000001")
AT = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
KEY = LedgerKey.generate()


def chain_of(count: int, key: LedgerKey = KEY) -> list[Link]:
    found: list[Link] = []
    for seq in range(1, count + 1):
        prev = found[-1].hash if found else GENESIS
        before = {"value": seq - 1} if seq > 1 else None
        change = ChangeRecord("key/tenant//ai.max_turns", before, {"value": seq})
        found.append(link(CHAIN, seq, prev, AT + timedelta(seconds=seq), "user:ñ", "admin", "why", [change], key))
    return found


def faults_of(links: list[Link], key: LedgerKey = KEY) -> list[str]:
    found: list[str] = []
    prev = GENESIS
    for number, one in enumerate(links, start=1):
        found += [fault.what for fault in check_link(one, prev, number, key)]
        prev = one.hash
    return found


def test_an_untouched_chain_has_no_faults() -> None:
    assert faults_of(chain_of(4)) == []


def _text(one: Link) -> Link:
    return replace(one, canonical=one.canonical.replace('"value":2', '"value":9'))


def _text_and_hash(one: Link) -> Link:
    changed = _text(one)
    return replace(changed, hash=hashlib.sha256(changed.canonical.encode()).digest())


def _time(one: Link) -> Link:
    return replace(one, at=one.at + timedelta(microseconds=1))


def _prev(one: Link) -> Link:
    return replace(one, prev=GENESIS)


def _signature(one: Link) -> Link:
    return replace(one, signature=bytes(64))


def _key_id(one: Link) -> Link:
    return replace(one, key_id="0" * 16)


def _not_json(one: Link) -> Link:
    return replace(one, canonical="nothing")


@pytest.mark.parametrize("tamper", [_text, _text_and_hash, _time, _prev, _signature, _key_id, _not_json])
def test_every_single_alteration_is_found(tamper: Callable[[Link], Link]) -> None:
    links = chain_of(4)
    links[1] = tamper(links[1])
    assert faults_of(links)


def test_a_dropped_and_a_swapped_entry_are_found() -> None:
    links = chain_of(4)
    assert faults_of([links[0], *links[2:]])
    assert faults_of([links[0], links[2], links[1], links[3]])


def test_a_tail_rewritten_without_the_key_is_found() -> None:
    links = chain_of(4)
    stranger = LedgerKey.generate()
    forged = links[:2]
    for seq in (3, 4):
        change = ChangeRecord("key/tenant//ai.max_turns", {"value": seq - 1}, {"value": 200})
        forged.append(link(CHAIN, seq, forged[-1].hash, AT, "user:x", "admin", "", [change], stranger))
    assert faults_of(forged) == ["its signature was not made by the platform's key"] * 2


def test_an_entry_moved_to_another_chain_is_found() -> None:
    links = [replace(one, chain=uuid4()) for one in chain_of(1)]
    assert any("chain" in fault for fault in faults_of(links))


def test_replay_gives_the_state_and_finds_contradictions() -> None:
    state: dict[str, object] = {}
    for one in chain_of(3):
        assert replay(state, one) == []
    assert state == {"key/tenant//ai.max_turns": {"value": 3}}
    assert replay({}, chain_of(3)[2])
    removal = link(
        CHAIN, 4, GENESIS, AT, "a", "admin", "", [ChangeRecord("key/tenant//ai.max_turns", {"value": 3}, None)], KEY
    )
    assert replay(state, removal) == []
    assert state == {}


def test_a_signature_covers_a_prefix_of_its_own() -> None:
    one = chain_of(1)[0]
    assert KEY.verify(one.key_id, signed_bytes(one.hash), one.signature)
    assert not KEY.verify(one.key_id, one.hash, one.signature)


def test_canonical_json_is_one_text_for_one_value() -> None:
    assert canonical({"b": [1, "ñ"], "a": None}) == '{"a":null,"b":[1,"ñ"]}'.encode()
    assert canonical(json.loads('{"a": 1, "b": 2}')) == canonical(json.loads('{"b":2,"a":1}'))


@pytest.mark.parametrize("value", ["\ud800", "a\x00b", float("nan")])
def test_what_a_database_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(SivoError) as caught:
        canonical({"x": value})
    assert caught.value.code == "VALIDATION_FAILED"


def test_a_backslash_before_u0000_is_text_and_passes() -> None:
    assert canonical("\\u0000") == b'"\\\\u0000"'


def checkpoint(seq: int) -> Checkpoint:
    one = chain_of(seq)[-1]
    return Checkpoint(str(CHAIN), one.seq, one.hash.hex(), one.key_id, one.signature.hex())


def test_checkpoints_only_move_forward(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path / "ledger")
    assert kept.read(CHAIN) is None
    kept.write(checkpoint(3))
    kept.write(checkpoint(2))
    found = kept.read(CHAIN)
    assert found is not None and found.seq == 3
    assert kept.chains() == [CHAIN]
    assert (tmp_path / "ledger").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "text", ["", "{}", '{"chain":1}', '{"chain":"x","seq":1,"hash":"zz","key_id":"","signature":""}']
)
def test_a_damaged_checkpoint_is_told_and_not_overwritten(tmp_path: Path, text: str) -> None:
    kept = Checkpoints(tmp_path)
    path = tmp_path / f"{CHAIN}.json"
    path.write_text(text)
    kept.write(checkpoint(1))
    assert path.read_text() == text
    with pytest.raises(DamagedCheckpointError):
        kept.read(CHAIN)
