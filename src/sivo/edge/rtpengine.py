"""The configuration of rtpengine: two logical interfaces, userspace forwarding, control on loopback."""

from __future__ import annotations

from sivo.edge.place import Place


def conf(place: Place) -> str:
    """``rtpengine.conf`` for versions 10.5 and later. Without a kernel module; nothing is recorded here."""
    outer = f"{place.outer}!{place.public}" if place.public and place.public != place.outer else place.outer
    return f"""\
# Written by `sivo edge render`; it writes over what is changed here.
[rtpengine]
table = -1
interface = outer/{outer};inner/{place.inner}
listen-ng = 127.0.0.1:{place.ng_port}
listen-cli = 127.0.0.1:{place.ng_port + 1}
port-min = {place.rtp_port_min}
port-max = {place.rtp_port_max}
# A node ends a call itself when no audio comes (30 s off hold); these are for what nobody ended.
timeout = 120
silent-timeout = 7200
offer-timeout = 300
tos = 184
"""
