"""G.711: PCMU (payload type 0) and PCMA (8), RFC 3551 §4.5.14. One byte a sample, 8 kHz, so 160 bytes are 20 ms."""

from __future__ import annotations

import audioop

PCMU = 0
PCMA = 8
#: Static payload types that this release sends and receives.
AUDIO_TYPES = frozenset((PCMU, PCMA))

FRAME_SAMPLES = 160
FRAME_MS = 20
SAMPLES_PER_MS = 8
SILENCE_PCM = bytes(FRAME_SAMPLES * 2)
SILENCE_ULAW = b"\xff" * FRAME_SAMPLES
SILENCE_ALAW = b"\xd5" * FRAME_SAMPLES


def decode(payload_type: int, payload: bytes) -> bytes:
    """G.711 to PCM16 little-endian. ``payload_type`` must be in :data:`AUDIO_TYPES`."""
    if payload_type == PCMU:
        return audioop.ulaw2lin(payload, 2)
    if payload_type == PCMA:
        return audioop.alaw2lin(payload, 2)
    raise ValueError(f"payload type {payload_type} is not G.711")


def encode(payload_type: int, pcm16: bytes) -> bytes:
    """PCM16 little-endian to G.711. ``payload_type`` must be in :data:`AUDIO_TYPES`."""
    if payload_type == PCMU:
        return audioop.lin2ulaw(pcm16, 2)
    if payload_type == PCMA:
        return audioop.lin2alaw(pcm16, 2)
    raise ValueError(f"payload type {payload_type} is not G.711")


def silence(payload_type: int) -> bytes:
    """One frame of silence in that codec."""
    return SILENCE_ALAW if payload_type == PCMA else SILENCE_ULAW


def scale(pcm16: bytes, factor: float) -> bytes:
    """PCM16 made louder or softer, clipped at full scale."""
    return audioop.mul(pcm16, 2, factor)


def rms(pcm16: bytes) -> int:
    """Root mean square of PCM16, 0 to 32768."""
    return audioop.rms(pcm16, 2)
