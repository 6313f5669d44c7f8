"""All files of an edge, as text: the same database and the same place give the same files. Pure."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from sivo.edge import kamailio, rtpengine, tables
from sivo.edge.keys import EdgeKeys
from sivo.edge.place import Place
from sivo.edge.view import View


def render(place: Place, keys: EdgeKeys, known: View, folder: Path) -> dict[str, str]:
    """Text by path below ``folder``, which has to be absolute: files name each other."""
    made = {
        "kamailio.cfg": kamailio.kamailio_cfg(place, keys, folder),
        "routes.cfg": files("sivo.edge").joinpath("routes.cfg").read_text(encoding="utf-8"),
        "dispatcher.list": kamailio.dispatcher_list(place),
        "address.list": kamailio.address_list(known),
        "rtpengine.conf": rtpengine.conf(place),
        "db/version": tables.version(),
        "db/domain": tables.domain(known),
        "db/domain_attrs": tables.domain_attrs(),
        "db/subscriber": tables.subscriber(known),
    }
    return made | ({"tls.cfg": kamailio.tls_cfg(place)} if place.tls else {})


def state() -> dict[str, str]:
    """Files that Kamailio writes itself, as they are in the beginning."""
    return {"state/version": tables.version(), "state/location": tables.LOCATION}
