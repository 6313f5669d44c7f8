"""Every kind of thing that happens and that a tenant can be told about. Names are part of the published contract."""

from __future__ import annotations

from dataclasses import dataclass

CALL_CREATED = "call.created"
CALL_ANSWERED = "call.answered"
CALL_TRANSFERRED = "call.transferred"
CALL_ENDED = "call.ended"
CALL_RECORDED = "call.recorded"
TRANSCRIPT_SEGMENT = "transcript.segment"
TRANSCRIPT_COMPLETED = "transcript.completed"
QUEUE_ENTERED = "queue.entered"
QUEUE_ABANDONED = "queue.abandoned"
AGENT_STATUS_CHANGED = "agent.status_changed"
AGENT_PAUSED = "agent.paused"
IVR_COMPLETED = "ivr.completed"
AI_AGENT_COMPLETED = "ai_agent.completed"
LEAD_CREATED = "lead.created"
CHANGE_WAITING = "change.waiting"
CHANGE_HELD = "change.held"
CHANGE_BREAK_GLASS = "change.break_glass"
WEBHOOK_TEST = "webhook.test"
WEBHOOK_DISABLED = "webhook.disabled"


@dataclass(frozen=True, slots=True)
class EventType:
    """One entry: name, and when it happens."""

    name: str
    happens: str


CATALOGUE: dict[str, EventType] = {
    event.name: event
    for event in (
        EventType(CALL_CREATED, "A call came in or was placed."),
        EventType(CALL_ANSWERED, "A person or an AI agent answered."),
        EventType(CALL_TRANSFERRED, "A call was passed on: blind, attended or three-way."),
        EventType(CALL_ENDED, "A call is over; the data is the whole CDR."),
        EventType(CALL_RECORDED, "The recording of a call is stored, encrypted and verified."),
        EventType(TRANSCRIPT_SEGMENT, "One final piece of a transcript."),
        EventType(TRANSCRIPT_COMPLETED, "The transcript of a call is complete."),
        EventType(QUEUE_ENTERED, "A caller began to wait in a queue."),
        EventType(QUEUE_ABANDONED, "A caller hung up while waiting."),
        EventType(AGENT_STATUS_CHANGED, "A person became available, busy, paused or left."),
        EventType(AGENT_PAUSED, "A person paused, with the reason."),
        EventType(IVR_COMPLETED, "A caller left an IVR; with the variables it captured."),
        EventType(AI_AGENT_COMPLETED, "An AI conversation is over, with its exit reason."),
        EventType(WEBHOOK_DISABLED, "An endpoint was switched off because it took nothing for days."),
        EventType(LEAD_CREATED, "Somebody left an enquiry; who it is stands in GET /api/leads/{id}."),
        EventType(CHANGE_WAITING, "A change of the configuration waits for somebody's approval."),
        EventType(CHANGE_HELD, "A change that was scheduled or approved is held: what it was planned on has moved."),
        EventType(CHANGE_BREAK_GLASS, "Somebody changed the configuration without the approval that it needs."),
        EventType(WEBHOOK_TEST, "An endpoint was saved or somebody asked for a test."),
    )
}
