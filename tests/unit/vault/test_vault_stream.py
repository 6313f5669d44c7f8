"""Objects in chunks: whole, at random, and never when something was changed."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sivo.base.errors import SivoError
from sivo.base.ids import uuid7
from sivo.vault import stream

AAD = f"{uuid7()}|{uuid7()}".encode()
KEY = stream.new_key()


def sealed(plaintext: bytes) -> bytes:
    return b"".join(stream.seal_stream(KEY, AAD, [plaintext]))


def opened(data: bytes, *, piece: int = 100_000) -> bytes:
    pieces = [data[at : at + piece] for at in range(0, len(data), piece)]
    return b"".join(stream.open_stream(KEY, AAD, pieces))


@pytest.mark.parametrize("size", [0, 1, stream.CHUNK - 1, stream.CHUNK, stream.CHUNK + 1, 3 * stream.CHUNK])
def test_round_trip_at_chunk_edges(size: int) -> None:
    plaintext = os.urandom(size)
    data = sealed(plaintext)
    assert opened(data) == plaintext
    assert opened(data, piece=7777) == plaintext
    assert stream.plaintext_size(len(data)) == size
    assert plaintext[:1000] not in data or size < 8


@settings(max_examples=25)
@given(size=st.integers(0, 200_000), start=st.integers(0, 220_000), length=st.integers(0, 150_000))
def test_random_access_equals_slice(size: int, start: int, length: int) -> None:
    plaintext = os.urandom(size)
    data = sealed(plaintext)
    got = stream.read_range(KEY, AAD, len(data), lambda at, n: data[at : at + n], start, length)
    assert got == plaintext[start : start + length]


def _swap_chunks(data: bytes) -> bytes:
    width = stream.CHUNK + stream.TAG
    first = stream.HEADER_SIZE
    return (
        data[:first] + data[first + width : first + 2 * width] + data[first : first + width] + data[first + 2 * width :]
    )


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: d[:-1],
        lambda d: d[: stream.HEADER_SIZE + stream.CHUNK + stream.TAG],  # cut exactly between two chunks
        lambda d: d[:100] + bytes([d[100] ^ 1]) + d[101:],
        lambda d: d[:9] + bytes([d[9] ^ 1]) + d[10:],  # header
        lambda d: d + b"\0",
        lambda d: d[: stream.HEADER_SIZE - 1],
        lambda d: b"",
        _swap_chunks,
    ],
)
def test_damage_is_noticed(damage) -> None:  # type: ignore[no-untyped-def]
    data = sealed(os.urandom(3 * stream.CHUNK - 5))
    with pytest.raises(SivoError) as raised:
        opened(damage(data))
    assert raised.value.code == "VAULT_SEAL_BROKEN"


def test_other_record_or_key_is_refused() -> None:
    data = sealed(b"voice")
    for key, aad in ((KEY, b"another record"), (stream.new_key(), AAD)):
        with pytest.raises(SivoError):
            b"".join(stream.open_stream(key, aad, [data]))
