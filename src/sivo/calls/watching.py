"""What operators may read of a running call role: its figures, and whether it can take calls."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from sivo.calls.exchange import Exchange
from sivo.calls.figures import of_media, of_sip
from sivo.calls.hep_export import HepExport
from sivo.calls.services import Services
from sivo.calls.trunk_watch import TrunkWatch
from sivo.monitoring import declared as d
from sivo.monitoring.book import Reading
from sivo.monitoring.door import Checks


class Watching:
    """Reads the node's parts when somebody asks."""

    def __init__(self, services: Services, exchange: Exchange, trunks: TrunkWatch, hep: HepExport) -> None:
        self._s = services
        self._exchange = exchange
        self._trunks = trunks
        self._hep = hep

    def read(self) -> Iterator[Reading]:
        """Everything that is read and not counted."""
        s = self._s
        yield d.CALLS_RUNNING, {}, float(self._exchange.running)
        yield d.CALL_TASKS, {}, float(len(asyncio.all_tasks()))
        yield d.REGISTRATIONS, {}, float(s.registrar.count(s.clock.now()))
        yield d.RECORDS_WAITING, {}, float(s.recorder.backlog)
        yield d.RECORDS_REFUSED, {}, float(s.recorder.failed)
        yield d.HEP_SENT, {"outcome": "sent"}, float(self._hep.sent)
        yield d.HEP_SENT, {"outcome": "failed"}, float(self._hep.failed)
        for health in d.TRUNKS.labels["health"]:
            yield d.TRUNKS, {"health": health}, 0.0
        for health, number in self._trunks.health().items():
            yield d.TRUNKS, {"health": health}, float(number)
        yield from of_sip(s.sip.statistics)
        for link in s.media.links:
            labels = {"media": str(link.index)}
            yield d.MEDIA_UP, labels, float(link.ready)
            if link.hello is not None:
                yield d.MEDIA_CAP, labels, float(link.hello.call_cap)
            known = s.figures.media.get(link.index)
            if known is not None:
                yield from of_media(link.index, known)

    def checks(self) -> Checks:
        """Ready: a media process is there, and what is known of the tenants is fresh enough for a new call."""
        return {"media": self._media, "configuration": self._configuration, "service": self._service}

    async def _media(self) -> str:
        ready = any(link.ready for link in self._s.media.links)
        return "up" if ready else "down: no media process"

    async def _service(self) -> str:
        return "down: it drains" if self._s.draining.on else "up"

    async def _configuration(self) -> str:
        return "down: the database does not answer" if self._s.directory.too_old else "up"
