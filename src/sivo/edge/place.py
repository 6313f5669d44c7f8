"""Where an edge stands and what it listens on: bootstrap settings, from ``SIVO_EDGE_…`` environment variables."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from sivo.sip.peer import Peer, bracketed


def _address(value: str) -> str:
    return str(ip_address(value))


class Place(BaseSettings):
    """One edge machine. What it serves comes from the database; this is what the database cannot know."""

    model_config = SettingsConfigDict(env_prefix="SIVO_EDGE_", extra="ignore")

    #: Address that phones and carriers reach, and the one that they know it by where that is another (1:1 NAT).
    outer: str
    public: str = ""
    #: Address that the nodes reach: a private network, and a port that nobody else reaches.
    inner: str
    #: Nodes: ``address:port`` of their SIP over UDP, comma-separated.
    nodes: str = Field(min_length=1)

    #: SIP over UDP and TCP for phones and carriers, and SIP over UDP for the nodes.
    sip_port: int = Field(default=5060, ge=1, le=65535)
    inner_port: int = Field(default=5070, ge=1, le=65535)
    #: SIP over TLS, and over WebSocket with TLS (RFC 7118); 0: not served. Both need the certificate.
    tls_port: int = Field(default=5061, ge=0, le=65535)
    wss_port: int = Field(default=8443, ge=0, le=65535)
    #: Certificate chain and private key (PEM); without them neither TLS nor WSS is served.
    certificate: Path | None = None
    certificate_key: Path | None = None

    #: Digest algorithm that phones are asked for; many know MD5 only.
    digest: Literal["MD5", "SHA-256"] = "MD5"
    #: Requests of one source in two seconds; who sends more is not heard for five minutes. Carriers may.
    flood: int = Field(default=60, ge=5, le=100_000)
    #: Receiving processes of each listener.
    processes: int = Field(default=4, ge=1, le=64)

    #: rtpengine: its control port on loopback, and its RTP ports (keep them apart from those of a node beside it).
    ng_port: int = Field(default=2223, ge=1, le=65535)
    rtp_port_min: int = Field(default=30000, ge=1024, le=65534)
    rtp_port_max: int = Field(default=39999, ge=1025, le=65535)

    @field_validator("outer", "inner")
    @classmethod
    def _is_address(cls, value: str) -> str:
        return _address(value)

    @field_validator("public")
    @classmethod
    def _may_be_address(cls, value: str) -> str:
        return _address(value) if value else ""

    @field_validator("nodes")
    @classmethod
    def _are_nodes(cls, value: str) -> str:
        for part in value.split(","):
            host, _, port = part.strip().rpartition(":")
            if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
                raise ValueError(f"{part.strip()!r} is not address:port")
            _address(host.strip("[]"))
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.certificate is None) != (self.certificate_key is None):
            raise ValueError("certificate and certificate_key belong together")
        if self.outer == self.inner and self.inner_port in (self.sip_port, self.tls_port, self.wss_port):
            raise ValueError("on one address the inner port has to be one of its own")
        return self

    @property
    def peers(self) -> tuple[Peer, ...]:
        """The nodes."""
        parts = (part.strip().rpartition(":") for part in self.nodes.split(","))
        return tuple(Peer(str(ip_address(host.strip("[]"))), int(port)) for host, _, port in parts)

    @property
    def known_as(self) -> str:
        """The address that phones and carriers know, as it stands in URIs."""
        return bracketed(self.public or self.outer)

    @property
    def tls(self) -> bool:
        """Whether there is a certificate to show."""
        return self.certificate is not None
