"""What the node's SIP transport listens on: UDP and TCP on one port, TLS beside it."""

from __future__ import annotations

import ssl

from sivo.base import logs
from sivo.base.settings import Settings
from sivo.sip import tls
from sivo.sip.peer import Peer
from sivo.sip.udp import SipUdp

log = logs.get("calls")


async def listen(sip: SipUdp, settings: Settings) -> None:
    """Bind everything. UDP, and what the operator asked for by a setting, must succeed (OSError)."""
    host = settings.sip_host
    await sip.start(host, settings.sip_port)
    if settings.sip_tcp:
        await _optional(sip, host, sip.local.port, None, required=False)
    port = settings.sip_tls_port
    if port != 0:
        certificate, key = settings.sip_tls_certificate, settings.sip_tls_key
        if certificate is None or key is None:
            names = ["localhost", "127.0.0.1", "::1", settings.sip_domain_suffix, f"*.{settings.sip_domain_suffix}"]
            certificate, key = tls.development_certificate(settings.home / "tls", names)
            log.warning("sip over tls shows a development certificate", file=str(certificate))
        context = tls.server_context(certificate, key)
        await _optional(sip, host, port or min(sip.local.port + 1, 65535), context, required=port is not None)
    if settings.sip_tls_ca is not None:
        sip.streams.client_tls = tls.client_context(settings.sip_tls_ca)
    ports = {name: sip.streams.port(name) for name in ("TCP", "TLS")}
    log.info("sip serves", host=host, udp=sip.local.port, tcp=ports["TCP"], tls=ports["TLS"])


def rtp_host(settings: Settings, peer: Peer) -> str:
    """Where RTP of a leg towards ``peer`` is bound: with ``::`` each leg has sockets of its peer's family."""
    if settings.sip_host == "::" and ":" not in peer.host:
        return "0.0.0.0"  # noqa: S104 - the operator asked for every address
    return settings.sip_host


async def _optional(sip: SipUdp, host: str, port: int, context: ssl.SSLContext | None, *, required: bool) -> None:
    try:
        await sip.listen(host, port, context)
    except OSError as error:
        if required:
            raise
        log.error("sip is not served on a port", transport="tls" if context else "tcp", port=port, error=str(error))
