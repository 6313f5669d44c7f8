"""What every call of this node works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

from sivo.base.clock import Clock
from sivo.base.settings import Settings
from sivo.calls.draining import Draining
from sivo.calls.figures import CallFigures
from sivo.calls.media_link import MediaPool
from sivo.calls.records import Recorder
from sivo.db.scopes import Database
from sivo.edge.trust import Edge
from sivo.routing.fuse import Fuse
from sivo.routing.live import LiveDirectory
from sivo.routing.registrar import Registrar
from sivo.sip.udp import SipUdp

if TYPE_CHECKING:
    from sivo.vault.vault import Vault


@dataclass(slots=True)
class Services:
    """The node's one SIP transport, media pool, directory, registrar and recorder."""

    settings: Settings
    clock: Clock
    database: Database
    vault: Vault
    media: MediaPool
    directory: LiveDirectory
    registrar: Registrar
    recorder: Recorder
    fuse: Fuse
    figures: CallFigures
    draining: Draining
    #: What stands between this node and its phones; known when the node starts.
    edge: Edge = field(default_factory=Edge)
    #: Whether a carrier is not known to be down; who watches them says so.
    trunk_up: Callable[[UUID], bool] = field(default=lambda trunk_id: True)
    #: Set when the node starts: the transport needs its user, and the user needs the rest.
    sip: SipUdp = field(init=False)

    @property
    def takes_calls(self) -> bool:
        """Whether a new call would be taken now, other calls aside."""
        ready = any(link.ready for link in self.media.links)
        return ready and not self.draining.on and not self.directory.too_old
