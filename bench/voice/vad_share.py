"""How long after the last voiced frame of a clip our VAD says that the voice is over: release and stop, computed."""

from __future__ import annotations

import audioop

from bench.voice import plan
from bench.voice.caller import FRAME, Clip
from sivo.speech.vad import SileroBatch

_SILENCE = bytes(2 * FRAME)


def stop_ms(clip: Clip) -> float:
    """Milliseconds from the end of the last voiced frame to the frame with which the engine sees the stop."""
    batch = SileroBatch()
    slot = batch.open()
    frames = [_SILENCE] * 50 + [audioop.ulaw2lin(frame, 2) for frame in clip.frames] + [_SILENCE] * 60
    voice_ends = (50 + clip.voiced) * 20
    last_voiced = 0.0
    for number, frame in enumerate(frames, 1):
        now = number * 20.0
        for window in batch.process([(slot, frame)])[0]:
            at = now - window.age_ms
            if window.voiced:
                last_voiced = at
            elif now > voice_ends and at - last_voiced >= plan.VAD_STOP_MS:
                return now - voice_ends
    raise ValueError("the VAD never heard the end of the clip")
