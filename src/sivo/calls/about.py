"""What a call is, sealed into the head of its journal before anybody is told that it is answered.

The row of a call is written behind. A process that is killed in between leaves a phone that was answered and no row;
the journal is there already, and from this the next process makes the row, the decisions about what is kept, and the
end for the phone.
"""

from __future__ import annotations

import os
from typing import Any

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sivo.calls.call import Call
from sivo.calls.rows import CallRow

_NONCE = 12
_AAD = b"about a call"


class About(msgspec.Struct, kw_only=True):
    """``decisions``: the details of the first decision about audio and words, by kind; ``caller``: the INVITE that
    waits for its answer (:class:`sivo.sip.pending.Pending`)."""

    row: CallRow
    decisions: dict[str, dict[str, Any]]
    caller: dict[str, Any]


_decoder = msgspec.json.Decoder(About)


def seal(key: bytes, call: Call) -> bytes:
    """For the journal with this key."""
    capture = call.capture
    decisions = {"recording": capture.recording.details(), "transcription": capture.transcription.details()}
    about = About(row=call.writer.row, decisions=decisions, caller=call.caller.pending)
    nonce = os.urandom(_NONCE)
    return nonce + AESGCM(key).encrypt(nonce, msgspec.json.encode(about), _AAD)


def unseal(key: bytes, sealed: bytes) -> About | None:
    """What was sealed; None when there is nothing that this key opens."""
    try:
        return _decoder.decode(AESGCM(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], _AAD))
    except (InvalidTag, ValueError, msgspec.DecodeError):
        return None
