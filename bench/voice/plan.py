"""What is said, what the vendors answer and when, and how far each engine is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

#: Simulated vendors: Finalize to final transcript, request to first token, text to first audio.
STT_MS, LLM_MS, TTS_MS = 150, 200, 120
#: Every engine ends a voice after this silence, and starts one after the other.
VAD_STOP_MS, VAD_START_MS = 200, 200
HEARD = "I would like to check the status of my last order."
REPLY = "Your order left the warehouse yesterday."
SYSTEM = "You are the voice of a shop. Answer in one short sentence."
STT_MODEL, LLM_MODEL, TTS_MODEL, VOICE = "nova-2", "bench-model", "eleven_flash_v2_5", "bench-voice"
#: A reply is late for the search above the single call's median by more than this.
SLACK_MS = 100.0
KEY = "bench"


def script() -> dict[str, Any]:
    """The account of the simulators that all engines use."""
    return {
        "stt": {"utterances": [HEARD], "final_delay_ms": STT_MS, "word_ms": 150},
        "llm": {"replies": [REPLY], "first_token_ms": LLM_MS, "token_every_ms": 0},
        "tts": {"first_byte_ms": TTS_MS, "piece_every_ms": 5},
    }


@dataclass(frozen=True)
class Course:
    """Calls at a time, one level after the other, and seconds that are measured at each.

    The single call is measured in ``single_pieces`` of ``level_s``. A level that the host of the machine disturbed is
    made again, ``tries`` times at most; each try waits up to ``patience_s`` for a machine that is left alone.
    """

    levels: dict[str, tuple[int, ...]]
    settle_s: float
    single_pieces: int
    level_s: float
    bisect: bool
    tries: int = 12
    patience_s: float = 300.0


FULL = Course(
    {"sivo": (1, 20, 40, 50, 60, 70, 80, 100), "pipecat": (1, 4, 8, 12, 16, 20), "livekit": (1, 8, 16, 24, 32, 40)},
    settle_s=5.0,
    single_pieces=6,
    level_s=12.0,
    bisect=True,
)
QUICK = Course(
    {"sivo": (1, 30), "pipecat": (1, 6), "livekit": (1, 10)}, 6.0, single_pieces=1, level_s=10.0, bisect=False, tries=3
)
