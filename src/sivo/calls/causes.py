"""Why a call ended: a closed list, each with its class and its Q.850 number for the Reason header (RFC 3326).

Names in capitals are the ones that telephony people know from Q.850; names in small letters are the platform's own.
Classes: ``client`` a person or phone did it, ``server`` the platform did, ``upstream`` a carrier, ``network`` packets
were missing, ``operator`` somebody runs this node.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cause:
    """One way to end: ``name`` and ``category`` go into the CDR, ``q850`` onto the wire."""

    name: str
    category: str
    q850: int


_ALL = [
    Cause("NORMAL_CLEARING", "client", 16),
    Cause("ORIGINATOR_CANCEL", "client", 16),
    Cause("USER_BUSY", "client", 17),
    Cause("NO_ANSWER", "client", 19),
    Cause("USER_NOT_REGISTERED", "client", 20),
    Cause("CALL_REJECTED", "client", 21),
    Cause("UNALLOCATED_NUMBER", "client", 1),
    Cause("NO_ROUTE_DESTINATION", "server", 3),
    Cause("INCOMPATIBLE_DESTINATION", "client", 88),
    Cause("SWITCH_CONGESTION", "server", 42),
    Cause("NORMAL_TEMPORARY_FAILURE", "upstream", 41),
    Cause("agent_hangup", "server", 16),
    Cause("transfer_failed", "server", 16),
    Cause("max_turns", "server", 16),
    Cause("max_duration", "server", 16),
    Cause("silence", "server", 16),
    Cause("provider_failure", "upstream", 41),
    Cause("node_failure", "server", 41),
    Cause("internal_error", "server", 41),
    Cause("shutdown", "operator", 41),
    Cause("no_ack", "network", 41),
    Cause("rtp_timeout", "network", 41),
    Cause("outbound_fuse", "operator", 42),
    Cause("out_of_hours", "server", 31),
    Cause("session_expired", "network", 41),
]
CAUSES: dict[str, Cause] = {cause.name: cause for cause in _ALL}

NORMAL = CAUSES["NORMAL_CLEARING"]
NODE_FAILURE = CAUSES["node_failure"]
SHUTDOWN = CAUSES["shutdown"]

#: Final SIP status of a callee -> cause (RFC 3398 §8.2.6, reduced to what phones send).
_BY_STATUS = {
    403: "CALL_REJECTED",
    404: "UNALLOCATED_NUMBER",
    408: "NO_ANSWER",
    480: "USER_NOT_REGISTERED",
    486: "USER_BUSY",
    487: "ORIGINATOR_CANCEL",
    488: "INCOMPATIBLE_DESTINATION",
    600: "USER_BUSY",
    603: "CALL_REJECTED",
}


def of_status(status: int) -> Cause:
    """The cause that a callee's final answer stands for."""
    return CAUSES[_BY_STATUS.get(status, "NORMAL_TEMPORARY_FAILURE")]


def of_exit(reason: str) -> Cause:
    """The cause that the end of an AI conversation stands for."""
    if reason == "caller_hangup":
        return NORMAL
    return CAUSES.get(reason, CAUSES["agent_hangup"])


#: Reason of the CANCEL to phones that ring while another one has answered (RFC 3326 §2).
ELSEWHERE = 'SIP;cause=200;text="Call completed elsewhere"'


def reason_header(cause: Cause) -> str:
    """Value of the Reason header that goes with a BYE or CANCEL."""
    return f'Q.850;cause={cause.q850};text="{cause.name}"'
