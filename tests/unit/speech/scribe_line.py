"""Scribe's client core and the simulated server, face to face on the virtual clock."""

from __future__ import annotations

import json

from deepgram_line import DeepgramLine

from sivo.outbound.websocket import SocketClosed
from sivo.simulators.ear import Ear
from sivo.simulators.scribe_server import parse
from sivo.simulators.scribe_stream import ScribeStream
from sivo.simulators.script import SttScript
from sivo.speech.faults import ProviderError
from sivo.speech.live import LiveCore
from sivo.speech.scribe import Scribe, query
from sivo.speech.scribe_stt import ended


class ScribeLine(DeepgramLine):
    """As :class:`DeepgramLine`; ``twice``: the server says every committed transcript two times."""

    def __init__(
        self, script: SttScript, *, patient: bool = False, reachable: bool = True, twice: bool = False
    ) -> None:
        self._twice = twice
        super().__init__(script, patient=patient, reachable=reachable)

    def make_core(self, patient: bool) -> LiveCore:
        return Scribe(patient=patient)

    def cut(self, reason: str = "") -> None:
        self.server = None
        fault, fatal = ended(SocketClosed(1006, reason))
        self._do(self.core.closed(self.now, fault, fatal=fatal))

    def commits(self) -> list[float]:
        """When the client committed."""
        return [at for at, text in self.sent if isinstance(text, str) and json.loads(text)["commit"]]

    def _connect(self) -> None:
        self.connects.append(self.now)
        if not self.reachable:
            self._do(self.core.closed(self.now, ProviderError("refused", "nobody there")))
            return
        self.deaf = False
        settings = parse(query("scribe_v2_realtime", "en"))
        ear = Ear(self._script, self._memory)
        self.server = server = ScribeStream(settings, self._script, ear, self.now, twice=self._twice)
        self._do(self.core.opened(self.now))
        self._answer(server.greeting())
