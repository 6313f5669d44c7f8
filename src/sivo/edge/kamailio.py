"""The head of Kamailio's configuration: sockets, modules and their parameters. What is done with requests is
``routes.cfg``, the same for every edge.

For Kamailio 5.6 (Debian 12) and 6.0 (Debian 13).
"""

from __future__ import annotations

from pathlib import Path

from sivo.edge.keys import EdgeKeys
from sivo.edge.place import Place
from sivo.edge.view import View
from sivo.sip.peer import bracketed

_MODULES = (
    *("tm", "tmx", "sl", "rr", "pv", "maxfwd", "textops", "siputils", "sanity", "ctl", "corex", "kex", "xlog"),
    *("cfgutils", "htable", "pike", "db_text", "auth", "auth_db", "domain", "permissions", "usrloc", "registrar"),
    *("nathelper", "dispatcher", "rtpengine"),
)
_REWRITTEN = "replace-origin replace-session-connection"


def kamailio_cfg(place: Place, keys: EdgeKeys, folder: Path) -> str:
    """``kamailio.cfg`` for files in ``folder``. It holds the token and the nonce secret."""
    tls, wss = _tls_port(place), _wss_port(place)
    defines = [
        ("EDGE_TOKEN", keys.token),
        ("EDGE_OUTER", bracketed(place.outer)),
        ("EDGE_SIP_PORT", place.sip_port),
        ("EDGE_KNOWN_AS", place.known_as),
        ("EDGE_REWRITTEN", _REWRITTEN),
        ("EDGE_PLAIN", f"{_REWRITTEN} RTP/AVP ICE=remove rtcp-mux-demux"),
        *([("WITH_WSS", ""), ("EDGE_WSS_PORT", wss)] if wss else []),
    ]
    modules = [*_MODULES, *(["tls"] if tls or wss else []), *(["xhttp", "websocket"] if wss else [])]
    return "\n".join(
        [
            "#!KAMAILIO",
            "# Written by `sivo edge render`; it writes over what is changed here. Secret: it holds keys.",
            *(f"#!define {name} {value}".rstrip() for name, value in defines),
            *_globals(place, tls, wss),
            *(f'loadmodule "{name}.so"' for name in modules),
            *(
                f'modparam("{module}", "{name}", {_value(value)})'
                for module, name, value in _params(place, keys, folder)
            ),
            *([f'modparam("tls", "config", "{folder / "tls.cfg"}")'] if tls or wss else []),
            f'include_file "{folder / "routes.cfg"}"',
            "",
        ]
    )


def tls_cfg(place: Place) -> str:
    """``tls.cfg``: our certificate for phones; carriers' are checked against the system's authorities."""
    return f"""\
# Written by `sivo edge render`; it writes over what is changed here.
[server:default]
method = TLSv1.2+
verify_certificate = no
require_certificate = no
certificate = {place.certificate}
private_key = {place.certificate_key}

[client:default]
method = TLSv1.2+
verify_certificate = yes
require_certificate = yes
ca_list = /etc/ssl/certs/ca-certificates.crt
"""


def dispatcher_list(place: Place) -> str:
    """``dispatcher.list``: the nodes. Its lines are: set, place, flags, priority, attributes."""
    lines = (f"1 sip:{bracketed(node.host)}:{node.port} 0 0 sockname=inner" for node in place.peers)
    return "\n".join(["# Nodes. Written by `sivo edge render`.", *lines]) + "\n"


def address_list(known: View) -> str:
    """``address.list``: networks that carriers send from, as group 1. Whose trunk it is, the node says."""
    lines = (f"1 {bracketed(str(one.network_address))} {one.prefixlen} 0" for one in known.networks)
    return "\n".join(["# Carriers. Written by `sivo edge render`.", *lines]) + "\n"


def _tls_port(place: Place) -> int:
    return place.tls_port if place.tls else 0


def _wss_port(place: Place) -> int:
    return place.wss_port if place.tls else 0


def _globals(place: Place, tls: int, wss: int) -> list[str]:
    outer, public = bracketed(place.outer), place.known_as
    streams = [("udp", place.sip_port), ("tcp", place.sip_port), *((("tls", one)) for one in (tls, wss) if one)]
    shown = [f" advertise {public}:{port}" if public != outer else "" for _, port in streams]
    return [
        "debug = 1",
        "log_facility = LOG_LOCAL0",
        "fork = yes",
        f"children = {place.processes}",
        f"tcp_children = {place.processes}",
        "auto_aliases = no",
        "dns = no",
        "rev_dns = no",
        "server_signature = no",
        'user_agent_header = "User-Agent: SIVO edge"',
        "max_while_loops = 100",
        "tcp_connection_lifetime = 7300",
        "tcp_accept_no_cl = yes" if wss else "tcp_accept_no_cl = no",
        *(["enable_tls = yes"] if tls or wss else []),
        *(f"listen = {kind}:{outer}:{port}{known}" for (kind, port), known in zip(streams, shown, strict=True)),
        f'listen = udp:{bracketed(place.inner)}:{place.inner_port} name "inner"',
    ]


def _params(place: Place, keys: EdgeKeys, folder: Path) -> list[tuple[str, str, str | int]]:
    """Module, name and value."""
    tables, state = f"text://{folder / 'db'}", f"text://{folder / 'state'}"
    return [
        ("ctl", "binrpc", f"unix:{folder / 'state' / 'ctl'}"),
        ("tm", "fr_timer", 30_000),
        ("tm", "fr_inv_timer", 200_000),
        ("tm", "restart_fr_on_each_reply", 1),
        ("tm", "failure_reply_mode", 3),
        ("rr", "enable_full_lr", 1),
        ("rr", "append_fromtag", 0),
        # Rows are read anew when their file changes: a new phone needs no restart.
        ("db_text", "db_mode", 1),
        ("auth", "secret", keys.nonce_secret),
        ("auth", "nonce_expire", 300),
        ("auth", "nonce_count", 1),
        ("auth", "qop", "auth"),
        *([] if place.digest == "MD5" else [("auth", "algorithm", place.digest)]),
        ("auth_db", "db_url", tables),
        ("auth_db", "use_domain", 1),
        ("auth_db", "calculate_ha1", 0),
        ("auth_db", "password_column", "ha1"),
        ("auth_db", "password_column_2", "ha1"),
        ("auth_db", "load_credentials", "$avp(extension)=extension;$avp(home)=home"),
        ("domain", "db_url", tables),
        ("domain", "register_myself", 0),
        ("permissions", "address_file", str(folder / "address.list")),
        # Bindings are in memory, written down every minute and at the end.
        ("usrloc", "db_url", state),
        ("usrloc", "db_mode", 2),
        ("usrloc", "use_domain", 1),
        ("usrloc", "nat_bflag", 6),
        ("usrloc", "preload", "location"),
        ("registrar", "default_expires", 3600),
        ("registrar", "min_expires", 60),
        ("registrar", "max_expires", 7200),
        ("registrar", "max_contacts", 10),
        ("registrar", "received_avp", "$avp(received)"),
        ("registrar", "append_branches", 1),
        ("registrar", "gruu_enabled", 0),
        ("nathelper", "received_avp", "$avp(received)"),
        ("nathelper", "natping_interval", 30),
        ("nathelper", "ping_nated_only", 1),
        ("nathelper", "sipping_bflag", 7),
        ("nathelper", "sipping_from", "sip:edge@sivo.invalid"),
        ("dispatcher", "list_file", str(folder / "dispatcher.list")),
        ("dispatcher", "xavp_dst", "_dsdst_"),
        ("dispatcher", "flags", 2),
        ("dispatcher", "ds_default_sockname", "inner"),
        ("dispatcher", "ds_ping_from", "sip:edge@sivo.invalid"),
        ("dispatcher", "ds_ping_interval", 2),
        ("dispatcher", "ds_probing_mode", 1),
        ("dispatcher", "ds_probing_threshold", 1),
        ("dispatcher", "ds_inactive_threshold", 1),
        ("rtpengine", "rtpengine_sock", f"udp:127.0.0.1:{place.ng_port}"),
        # It is on this machine: what it has not answered in a second it will not answer; asked again 5 s later.
        ("rtpengine", "rtpengine_tout_ms", 500),
        ("rtpengine", "rtpengine_retr", 1),
        ("rtpengine", "rtpengine_disable_tout", 5),
        ("pike", "sampling_time_unit", 2),
        ("pike", "reqs_density_per_unit", place.flood),
        ("pike", "remove_latency", 10),
        # Who is not heard at all; who guesses passwords; who knew one, from where.
        ("htable", "htable", "banned=>size=10;autoexpire=300;"),
        ("htable", "htable", "guesses=>size=12;autoexpire=300;initval=0;updateexpire=0;"),
        ("htable", "htable", "right=>size=14;autoexpire=86400;"),
    ]


def _value(value: str | int) -> str:
    return str(value) if isinstance(value, int) else f'"{value}"'
