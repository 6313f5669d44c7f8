"""A call's trace as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_US = "sivo"


def render(trace: Mapping[str, Any]) -> str:
    """The whole trace, part by part; parts that have nothing to say are left out."""
    parts = (_head, _route, _configuration, _ladder, _turns, _interruptions, _faults, _decisions, _deliveries, _end)
    blocks = ["\n".join(lines) for part in parts if (lines := list(part(trace)))]
    return "\n\n".join(blocks) + "\n"


def _head(trace: Mapping[str, Any]) -> Iterator[str]:
    call = trace["call"]
    yield f"CALL {call['id']}  {call['direction']}  {call['from_number']} -> {call['to_number']}"
    yield f"  created   {call['created_at']} ({call['timezone']})"
    if call["answered_at"]:
        yield f"  answered  {call['answered_at']}"
    if call["ended_at"]:
        yield f"  ended     {call['ended_at']}  after {_seconds(call['duration_ms'])}"


def _route(trace: Mapping[str, Any]) -> Iterator[str]:
    route = trace.get("route")
    if route:
        target = route["details"].get("target", {})
        name = target.get("name") or target.get("number") or target.get("status") or ""
        yield "ROUTE"
        yield f"  {route['outcome']} {name}  by rule {route['rule']}: {route['reason']}"


def _configuration(trace: Mapping[str, Any]) -> Iterator[str]:
    reads = trace.get("configuration") or ()
    if reads:
        yield f"CONFIGURATION THAT MATTERED  (snapshot {str(trace['call']['snapshot_hash'])[:12]})"
    width = max((len(read["key"]) for read in reads), default=0)
    for read in reads:
        yield f"  {read['key']:<{width}}  {_short(read['value'], 48):<48}  from {read['level']}{_origin(read)}"


def _origin(read: Mapping[str, Any]) -> str:
    """Who set a value, when and why, and the lock that kept others from doing so."""
    said = [f"by {read['author']} at {read['at']}"] if read.get("author") else []
    said += [f'"{_short(read["reason"], 60)}"'] if read.get("reason") else []
    said += [f"locked at {one['source']}" for one in read.get("levels") or () if one["locked"]]
    return f"  ({', '.join(said)})" if said else ""


def _ladder(trace: Mapping[str, Any]) -> Iterator[str]:
    messages = trace.get("sip") or ()
    if messages:
        yield "SIP"
    for message in messages:
        peer, summary = message["peer"], _short(message["summary"], 90)
        arrow = f"{peer:<26} -> {_US}" if message["direction"] == "in" else f"{peer:<26} <- {_US}"
        yield f"  {message['offset_ms'] / 1000:>8.3f}  {arrow}  {summary}"


def _turns(trace: Mapping[str, Any]) -> Iterator[str]:
    turns = trace.get("turns") or ()
    if turns:
        yield "TURNS  (milliseconds from the end of the caller's speech)"
    for turn in turns:
        yield f"  {turn['turn']:>3}  caller  {_clock(turn['user_start_ms'])}  {_words(turn['user_text'])}"
        cut = "  [interrupted]" if turn["interrupted"] else ""
        action = "" if turn["action"] == "continue" else f"  [{turn['action']}]"
        yield f"       agent   {_clock(turn['reply_start_ms'])}  {_words(turn['reply_text'])}{cut}{action}"
        if turn["stages"]:
            stages = "  ".join(f"{name} +{value:.0f}" for name, value in turn["stages"].items())
            yield f"       latency {max(turn['latency'].values()):.0f}: {stages}"


def _interruptions(trace: Mapping[str, Any]) -> Iterator[str]:
    found = trace.get("interruptions") or ()
    if found:
        yield "INTERRUPTIONS"
    for one in found:
        yield f"  {_clock(one['at_ms'])}  {one['outcome']}  voiced {one['voiced_ms']} ms, played {one['played_ms']} ms"


def _faults(trace: Mapping[str, Any]) -> Iterator[str]:
    found = trace.get("faults") or ()
    if found:
        yield "PROVIDER FAULTS"
    for one in found:
        yield f"  {_clock(one['at_ms'])}  {one['stage']} {one['cause']}: {one['detail']}  -> {one['action'] or 'noted'}"


def _decisions(trace: Mapping[str, Any]) -> Iterator[str]:
    found: Sequence[Mapping[str, Any]] = trace.get("decisions") or ()
    if found:
        yield "ATTEMPTS, RECORDING AND TRANSCRIPTION"
    for one in found:
        yield f"  {one['at']}  {one['phase']:<7}  {one['kind']:<13}  {one['outcome']}  ({one['reason']})"
    recording = trace.get("recording")
    if recording:
        length = f", {_seconds(recording['duration_ms'])}" if recording.get("duration_ms") else ""
        cause = f": {recording['cause']}" if recording.get("cause") else ""
        yield f"  recording {recording['id']}  {recording['state']}{cause}{length}, until {recording['expires_at']}"
    transcript = trace.get("transcript") or {}
    if transcript.get("segments"):
        yield f"  transcript {transcript['segments']} segments, until {transcript['expires_at']}"


def _deliveries(trace: Mapping[str, Any]) -> Iterator[str]:
    found = trace.get("deliveries") or ()
    if found:
        yield "DELIVERIES"
    for one in found:
        kind = one.get("type") or one.get("event_type") or ""
        event = one.get("event_id") or one.get("id") or ""
        yield f"  {kind:<22}  {one.get('state', ''):<10}  attempts {one.get('attempts', 0)}  {event}"


def _end(trace: Mapping[str, Any]) -> Iterator[str]:
    end = trace["end"]
    if not end["cause"]:
        yield "STILL UP"
        return
    reason = f", conversation ended by {end['exit_reason']}" if end["exit_reason"] else ""
    detail = f" ({end['detail']})" if end["detail"] else ""
    yield f"END  {end['cause']} [{end['class']}] by {end['by']}{detail}{reason}"


def _words(text: str | None) -> str:
    return f'"{text}"' if text else "(not kept)" if text is None else "(nothing)"


def _clock(ms: int | None) -> str:
    return "   --.---" if ms is None else f"{ms / 1000:>9.3f}"


def _seconds(ms: int | None) -> str:
    return "0.0 s" if ms is None else f"{ms / 1000:.1f} s"


def _short(value: object, width: int) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= width else text[: width - 1] + "…"
