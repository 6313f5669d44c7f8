"""Every metric of the platform, by the process that tells it. No label names a tenant, a call, a number or an address.

The table in ``docs/operations.md`` and the checks of the dashboard follow from this file.
"""

from __future__ import annotations

from sivo.monitoring.metric import NUMBERED, OTHER, Kind, Metric

COUNTER, GAUGE, HISTOGRAM = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM
_DIRECTIONS = ("inbound", "outbound", "internal", OTHER)
_LEGS = ("caller", "callee", OTHER)
_STATUS = ("1xx", "2xx", "3xx", "4xx", "5xx", OTHER)
_METHODS = (
    "INVITE", "ACK", "BYE", "CANCEL", "REGISTER", "OPTIONS", "PRACK", "UPDATE", "INFO", "REFER", "NOTIFY", "SUBSCRIBE",
    "MESSAGE", "1xx", "2xx", "3xx", "4xx", "5xx", "6xx", OTHER,
)  # fmt: skip
_WAITS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0)
#: Upper bounds of the lateness histogram, in seconds; media keeps tenths of milliseconds and adds them up.
LATENESS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)

# --- call -----------------------------------------------------------------------------------------------------------
CALLS_RUNNING = Metric("sivo_calls_running", GAUGE, "Calls that have not ended.", read=True)
CALLS_STARTED = Metric("sivo_calls_started_total", COUNTER, "Calls that came to be.", {"direction": _DIRECTIONS})
CALLS_ENDED = Metric(
    "sivo_calls_ended_total",
    COUNTER,
    "Calls that ended, by the class of their cause (docs/guide.md).",
    {"direction": _DIRECTIONS, "category": ("client", "server", "upstream", "network", "operator", OTHER)},
)
CALL_RINGING = Metric("sivo_call_ringing_seconds", HISTOGRAM, "From the INVITE to the first ringing.", buckets=_WAITS_S)
CALL_ANSWERED = Metric(
    "sivo_call_setup_seconds",
    HISTOGRAM,
    "From the INVITE to the answer.",
    {"direction": _DIRECTIONS},
    _WAITS_S,
)
CALL_TASKS = Metric("sivo_call_tasks", GAUGE, "Tasks of the call role's event loop.", read=True)
REGISTRATIONS = Metric("sivo_registrations", GAUGE, "Contacts of phones that are registered now.", read=True)
TRUNKS = Metric(
    "sivo_trunks",
    GAUGE,
    "Trunks with a host to call, by what OPTIONS found.",
    {"health": ("up", "down", "unknown", OTHER)},
    read=True,
)
SIP_MESSAGES = Metric(
    "sivo_sip_messages_total",
    COUNTER,
    "SIP messages that were answered or sent: requests by method, responses by class.",
    {"direction": ("in", "out"), "kind": _METHODS},
    read=True,
)
SIP_DROPPED = Metric(
    "sivo_sip_dropped_total",
    COUNTER,
    "SIP messages that were not taken, by reason.",
    {"reason": ("unread", "refused", "malformed", "full", "keepalive", "stray-ack", "stray-response", OTHER)},
    read=True,
)
SIP_REPEATED = Metric("sivo_sip_retransmissions_total", COUNTER, "SIP messages that we had to send again.", read=True)
SIP_ERRORS = Metric(
    "sivo_sip_errors_total",
    COUNTER,
    "Messages that could not be sent, and faults of ours in handling one.",
    {"what": ("send", "handler")},
    read=True,
)
LEG_JITTER = Metric(
    "sivo_leg_jitter_seconds",
    HISTOGRAM,
    "Interarrival jitter (RFC 3550) of what a leg sent us, at its end.",
    {"leg": _LEGS},
    (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.04, 0.06, 0.1, 0.2),
)
LEG_LOSS = Metric(
    "sivo_leg_loss_ratio",
    HISTOGRAM,
    "Share of a leg's packets that was not heard, 0 to 1, at its end.",
    {"leg": _LEGS},
    (0.0, 0.001, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5),
)
LEG_MOS = Metric(
    "sivo_leg_mos",
    HISTOGRAM,
    "MOS estimate (ITU-T G.107) of what a leg sent us, at its end.",
    {"leg": _LEGS},
    (1.0, 2.0, 2.6, 3.1, 3.6, 3.8, 4.0, 4.2, 4.3, 4.4, 4.5),
)
LEG_RTT = Metric(
    "sivo_leg_round_trip_seconds",
    HISTOGRAM,
    "Newest round trip that RTCP measured on a leg, at its end.",
    {"leg": _LEGS},
    (0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0),
)
PROVIDER_FAULTS = Metric(
    "sivo_provider_faults_total",
    COUNTER,
    "Failures of speech and model providers in conversations.",
    {
        "stage": ("stt", "llm", "tts", OTHER),
        "cause": ("refused", "slow", "cut", "rejected", "garbage", "guard", OTHER),
    },
)
TURN_RESPONSE = Metric(
    "sivo_turn_response_seconds",
    HISTOGRAM,
    "From the end of the caller's speech to the first frame of the agent's reply.",
    buckets=(0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0),
)
INTERRUPTIONS = Metric(
    "sivo_interruptions_total",
    COUNTER,
    "Callers who spoke over the agent: cut, or a false alarm.",
    {"outcome": ("committed", "resumed", OTHER)},
)
RECORDS_WAITING = Metric(
    "sivo_records_waiting", GAUGE, "Rows of calls that are not in the database yet (write-behind).", read=True
)
RECORDS_REFUSED = Metric(
    "sivo_records_refused_total", COUNTER, "Rows that the database refused for good; each is an error.", read=True
)
HEP_SENT = Metric(
    "sivo_hep_packets_total",
    COUNTER,
    "SIP messages for the HEP collector: sent, or failed.",
    {"outcome": ("sent", "failed")},
    read=True,
)
_MEDIA = {"media": NUMBERED}
MEDIA_UP = Metric("sivo_media_up", GAUGE, "Whether call has its line to a media process.", _MEDIA, read=True)
MEDIA_SESSIONS = Metric("sivo_media_sessions", GAUGE, "Calls that a media process carries.", _MEDIA, read=True)
MEDIA_LEGS = Metric("sivo_media_legs", GAUGE, "Legs that a media process carries.", _MEDIA, read=True)
MEDIA_CAP = Metric("sivo_media_call_cap", GAUGE, "Calls that a media process takes at most.", _MEDIA, read=True)
LATENESS = Metric(
    "sivo_sender_lateness_seconds",
    HISTOGRAM,
    "How late the 20 ms clock of a media process ran, tick by tick.",
    _MEDIA,
    LATENESS_S,
    read=True,
)
TICKS_SKIPPED = Metric(
    "sivo_ticks_skipped_total", COUNTER, "Ticks that never ran: held up for too long, or too often.", _MEDIA, read=True
)
JOURNAL_WRITES = Metric(
    "sivo_journal_writes_waiting", GAUGE, "Journal chunks of a media process not in their file yet.", _MEDIA, read=True
)
FACTS_WAITING = Metric(
    "sivo_facts_unacknowledged", GAUGE, "Facts of a media process not in the database yet.", _MEDIA, read=True
)
MEDIA_TASKS = Metric("sivo_media_tasks", GAUGE, "Tasks of a media process's event loop.", _MEDIA, read=True)

# --- worker ---------------------------------------------------------------------------------------------------------
_QUEUES = {"queue": ("recording", "webhook", "mail", "outbox")}
DUE_ROWS = Metric("sivo_due_rows", GAUGE, "Rows that are due and not done.", _QUEUES, read=True)
DUE_AGE = Metric("sivo_due_oldest_seconds", GAUGE, "For how long the oldest of them has been due.", _QUEUES, read=True)
JOURNAL_FILES = Metric("sivo_journal_files", GAUGE, "Session journals on this node, running calls included.", read=True)
JOURNAL_BYTES = Metric("sivo_journal_bytes", GAUGE, "Size of the session journals on this node.", read=True)
WORK_FAULTS = Metric(
    "sivo_worker_faults_total",
    COUNTER,
    "Rounds of the worker's loops that failed.",
    {"reason": ("unavailable", "error")},
)

# --- api ------------------------------------------------------------------------------------------------------------
HTTP_REQUESTS = Metric(
    "sivo_http_requests_total",
    COUNTER,
    "Requests to the HTTP API, by class of the answer.",
    {"method": ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", OTHER), "status": _STATUS},
)
HTTP_SECONDS = Metric(
    "sivo_http_request_seconds",
    HISTOGRAM,
    "From the request to the head of its answer.",
    {"method": ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", OTHER)},
    (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0),
)

# --- speech ---------------------------------------------------------------------------------------------------------
SPEECH_SECONDS = Metric(
    "sivo_local_speech_seconds",
    HISTOGRAM,
    "Time of the local speech role for one request.",
    {"what": ("transcriptions", "speech", "completions", OTHER), "status": _STATUS},
    (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)

# --- the supervisor, or a role that was started alone ---------------------------------------------------------------
_PROCESS = {"process": NUMBERED}
BUILD = Metric("sivo_build_info", GAUGE, "1, with the version as its label.", {"version": NUMBERED}, read=True)
PROCESS_UP = Metric("sivo_process_up", GAUGE, "Whether a process runs and serves.", _PROCESS, read=True)
PROCESS_STARTS = Metric("sivo_process_starts_total", COUNTER, "How often a process was started.", _PROCESS, read=True)
PROCESS_CPU = Metric("sivo_process_cpu_seconds_total", COUNTER, "Processor time of a process.", _PROCESS, read=True)
PROCESS_MEMORY = Metric("sivo_process_resident_bytes", GAUGE, "Resident memory of a process.", _PROCESS, read=True)
PROCESS_FILES = Metric("sivo_process_open_files", GAUGE, "Open descriptors of a process.", _PROCESS, read=True)

# --- probes (/probe) ------------------------------------------------------------------------------------------------
_PLANES = {"plane": ("api", "registration", "dashboard")}
PROBE_SUCCESS = Metric("sivo_probe_success", GAUGE, "1 when the plane did the real thing.", _PLANES, read=True)
PROBE_STATE = Metric(
    "sivo_probe_state",
    GAUGE,
    "1 for the state that was found.",
    {**_PLANES, "state": ("up", "down", "not installed", "not set up")},
    read=True,
)
PROBE_SECONDS = Metric("sivo_probe_duration_seconds", GAUGE, "How long the probe took.", _PLANES, read=True)

#: By who tells it.
BY_ROLE: dict[str, tuple[Metric, ...]] = {
    "call": (
        CALLS_RUNNING, CALLS_STARTED, CALLS_ENDED, CALL_RINGING, CALL_ANSWERED, REGISTRATIONS, TRUNKS, SIP_MESSAGES,
        SIP_DROPPED, SIP_REPEATED, SIP_ERRORS, LEG_JITTER, LEG_LOSS, LEG_MOS, LEG_RTT, PROVIDER_FAULTS, TURN_RESPONSE,
        INTERRUPTIONS, RECORDS_WAITING, RECORDS_REFUSED, HEP_SENT, MEDIA_UP, MEDIA_SESSIONS, MEDIA_LEGS, MEDIA_CAP,
        LATENESS, TICKS_SKIPPED, JOURNAL_WRITES, FACTS_WAITING, MEDIA_TASKS, CALL_TASKS,
    ),
    "worker": (DUE_ROWS, DUE_AGE, JOURNAL_FILES, JOURNAL_BYTES, WORK_FAULTS),
    "api": (HTTP_REQUESTS, HTTP_SECONDS),
    "speech": (SPEECH_SECONDS,),
    "supervisor": (BUILD, PROCESS_UP, PROCESS_STARTS, PROCESS_CPU, PROCESS_MEMORY, PROCESS_FILES),
    "probe": (PROBE_SUCCESS, PROBE_STATE, PROBE_SECONDS),
}  # fmt: skip
