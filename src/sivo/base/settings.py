"""Bootstrap settings of one node, from ``SIVO_…`` environment variables.

Only what a process must know before it can reach the database stands here; everything that a tenant can see or
change is a configuration key (room ``config``).
"""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Where this node keeps its data, what it listens on, and what its operator allows."""

    model_config = SettingsConfigDict(env_prefix="SIVO_", extra="ignore")

    #: Data directory: database, journals, objects, keys, sockets. Created with mode 0700.
    home: Path = Path("var")
    #: PostgreSQL DSN; empty = the embedded server below ``home``.
    dsn: str = ""
    log_level: str = "info"

    #: Key-encryption key: ``file`` (SIVO_HOME/kek), ``file:<path>``, ``env`` (SIVO_KEK_VALUE), ``env:<variable>`` or
    #: ``aws-kms:<key id or ARN>``. The one before it stands in ``kek_previous`` until ``sivo vault rotate`` is through
    #: (there, ``env`` reads SIVO_KEK_PREVIOUS_VALUE).
    kek: str = "file"
    kek_previous: str = ""

    #: HTTP API: address and port (TCP). The local CLI uses a Unix socket below ``home``.
    http_host: str = "127.0.0.1"
    http_port: int = Field(default=8080, ge=1, le=65535)
    #: Proxies whose X-Forwarded-For is believed: CIDRs, comma-separated. Empty: nobody's.
    http_trusted_proxies: str = ""

    #: Operator's port: /metrics, /healthz, /readyz, /probe for this node, without credentials. 0 = off.
    operator_host: str = "127.0.0.1"
    operator_port: int = Field(default=9464, ge=0, le=65535)
    #: Set by ``sivo run`` for its roles: they are all on this machine, and the supervisor serves the operator's port.
    supervised: bool = False

    #: Collector of the SIP ladder, ``host:port`` for HEP3 over UDP (Homer and its like); empty: none.
    hep_collector: str = ""
    #: Number of this node among the capture agents, and the collector's key.
    hep_capture_id: int = Field(default=2001, ge=0, le=0xFFFFFFFF)
    hep_password: SecretStr = SecretStr("")

    #: SIP over UDP. Loopback unless the operator says otherwise.
    sip_host: str = "127.0.0.1"
    sip_port: int = Field(default=5060, ge=1, le=65535)
    #: SIP over TCP on the same port.
    sip_tcp: bool = True
    #: SIP over TLS: None = one above ``sip_port`` (5061), 0 = none.
    sip_tls_port: int | None = Field(default=None, ge=0, le=65535)
    #: Certificate chain and private key (PEM) for it; without them a development certificate is made below ``home``.
    sip_tls_certificate: Path | None = None
    sip_tls_key: Path | None = None
    #: Authorities (PEM) that carriers' certificates are checked against; None = the system's.
    sip_tls_ca: Path | None = None
    #: Address put into Contact and SDP; empty = the address of the route to the peer.
    advertised_host: str = ""
    #: Edges (Kamailio) in front of this node, ``host:port`` of their inner sides (UDP), comma-separated. What they say
    #: about who sent a request is believed; calls to phones and carriers go to the first. Empty: none.
    sip_edges: str = ""

    #: Calls that one tenant may start towards carriers: within a minute, and at a time (against toll fraud).
    carrier_calls_per_minute: int = Field(default=60, ge=1, le=100_000)
    carrier_calls_at_a_time: int = Field(default=50, ge=1, le=100_000)

    #: RTP ports, even numbers are used; each media process takes an equal share.
    rtp_port_min: int = Field(default=20000, ge=1024, le=65534)
    rtp_port_max: int = Field(default=24999, ge=1025, le=65535)
    #: Number of media processes; 0 = one per core.
    media_processes: int = Field(default=0, ge=0, le=256)
    #: Calls that one media process takes before new ones get 503.
    media_call_cap: int = Field(default=100, ge=1, le=2000)

    #: Loopback port of the local speech role (OpenAI wire protocol).
    speech_port: int = Field(default=8090, ge=1, le=65535)
    #: Directory of a Whisper model in CTranslate2 format for the speech role (extra ``whisper``); None = none.
    speech_whisper_model: Path | None = None
    #: Threads that it may compute on.
    speech_whisper_threads: int = Field(default=2, ge=1, le=64)

    #: Host suffixes for tenants that set no domain of their own.
    sip_domain_suffix: str = "sip.sivocenter.com"
    app_domain_suffix: str = "app.sivocenter.com"

    #: SMTP server that takes our mail; empty: none, and links are shown to the administrator who asks for them.
    smtp_host: str = ""
    smtp_port: int = Field(default=587, ge=1, le=65535)
    #: ``starttls`` (RFC 3207, refused when the server has none) or ``tls`` from the first byte (RFC 8314, port 465).
    smtp_security: Literal["starttls", "tls"] = "starttls"
    #: No encryption at all; for a relay on this very machine.
    dangerous_smtp_plain: bool = False
    #: Authorities (PEM) that the server's certificate is checked against; None = the system's.
    smtp_ca: Path | None = None
    smtp_user: str = ""
    #: One of the two; the file wins and is read again for each connection.
    smtp_password: SecretStr = SecretStr("")
    smtp_password_file: Path | None = None
    #: Address in From; empty = ``no-reply@`` and ``app_domain_suffix``.
    smtp_from: str = ""
    #: Seconds that one message may take, from connecting to the server's acceptance.
    smtp_timeout_s: float = Field(default=30.0, ge=0.1, le=300)

    #: Seconds between the deletion of a tenant and the destruction of its keys, in which it can be restored: 30 days.
    tenant_deletion_grace_sec: int = Field(default=30 * 86_400, ge=0, le=3650 * 86_400)

    #: Numbers that a plan includes, as JSON: ``{"starter": {"extensions": 20}}``; what is absent has no limit.
    plan_limits: dict[str, dict[str, int]] = Field(default_factory=dict)

    #: Operator allow-list for outbound requests: CIDRs, optionally with a port ("127.0.0.0/8:8090"), comma-separated.
    dangerous_outbound_allow: str = ""
    #: Let tenants use plain http:// for the allow-listed addresses.
    dangerous_outbound_http: bool = False

    @field_validator("sip_edges")
    @classmethod
    def _are_places(cls, value: str) -> str:
        for part in value.split(","):
            host, _, port = part.strip().rpartition(":")
            if part.strip() and not (port.isascii() and port.isdigit() and ip_address(host.strip("[]"))):
                raise ValueError(f"{part.strip()!r} is not address:port")
        return value

    @property
    def run_dir(self) -> Path:
        """Sockets and pid files."""
        return self.home / "run"

    @property
    def drain_file(self) -> Path:
        """While it exists, ``call`` takes no new calls."""
        return self.run_dir / "drain"

    @property
    def drained_file(self) -> Path:
        """Made by ``call`` when it drains and the last call has ended."""
        return self.run_dir / "drained"

    @property
    def journal_dir(self) -> Path:
        """Session journals, one file a call, written by ``media`` and removed by ``worker``."""
        return self.home / "journal"

    @property
    def object_dir(self) -> Path:
        """Root of the local object store."""
        return self.home / "objects"

    @property
    def kek_file(self) -> Path:
        """The node's own key-encryption key (32 bytes, base64, mode 0600); used where ``kek`` is ``file``."""
        return self.home / "kek"

    @property
    def api_socket(self) -> Path:
        """Unix socket on which ``api`` serves the local CLI with peer credentials."""
        return self.run_dir / "api.sock"

    def operator_socket(self, role: str) -> Path:
        """Unix socket on which a role answers the supervisor's questions about its health."""
        return self.run_dir / f"operator-{role}.sock"

    def media_socket(self, index: int) -> Path:
        """Unix socket on which media process ``index`` takes commands from ``call``."""
        return self.run_dir / f"media-{index}.sock"

    def speech_base_url(self) -> str:
        """Where the value ``local`` of an engine or base URL points to."""
        return f"http://127.0.0.1:{self.speech_port}/v1"
