"""Whisper in the speech role, when the operator names a model directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sivo.base import logs
from sivo.base.errors import SivoError
from sivo.speech.local_child import Pool
from sivo.speech.local_protocol import WireError

MODULE = "sivo.speech.local_whisper_process"
#: Requests whose model begins with this are Whisper's (vendors say ``whisper-1``).
PREFIX = "whisper"
_LOAD_S = 120.0
_HEAR_S = 60.0
_QUEUE = 8

_log = logs.get("speech")


class Whisper:
    """One model in one child process; utterances wait their turn. ``threads``: what it may compute on."""

    def __init__(self, model: Path | None, threads: int = 2) -> None:
        self.pool = Pool(MODULE, 1, _QUEUE)
        self._model = model
        self._threads = threads
        self._why = ""

    def takes(self, model: str) -> bool:
        """Whether a request for ``model`` is for this one; without a directory nothing is."""
        return self._model is not None and model.startswith(PREFIX)

    async def warm(self) -> None:
        """Load the model, if there is one; what is wrong with it is logged and told to whoever asks for it."""
        if self._model is None:
            return
        try:
            answers = await self.pool.start(self._message({}), within=_LOAD_S)
            self._why = str(answers[0]["why"])
        except SivoError as error:
            self._why = f"the model could not be loaded: {error.message}"
        if self._why:
            _log.error("local whisper cannot be used", why=self._why)
            await self.pool.stop()
        else:
            _log.info("local whisper loaded", threads=self._threads)

    async def hear(self, pcm16: bytes, rate: int, language: str, prompt: str) -> dict[str, Any]:
        """``text``, ``language`` and ``duration`` (s). Raises :class:`WireError` 503 with the reason when it cannot be
        used, SivoError ``UNAVAILABLE`` when too many wait or the process died."""
        if self._why:
            raise WireError(503, self._why, param="model", code="model_unavailable")
        asked = {"pcm": pcm16, "rate": rate, "language": language, "prompt": prompt}
        async with self.pool.lend() as child:
            heard = await child.one(self._message(asked), within=_HEAR_S)
        if heard["why"]:
            raise WireError(503, str(heard["why"]), param="model", code="model_unavailable")
        return heard

    def _message(self, more: dict[str, Any]) -> dict[str, Any]:
        return {"model": str(self._model), "threads": self._threads, **more}
