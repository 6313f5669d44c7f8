"""What a changed configuration would have done to calls that were made, from the inputs stored on them.

Pure. A call is decided twice by the code that decides real calls: with the configuration as it is and as it would be.
What differs is told. What cannot be known from what is stored is not guessed: :data:`NOT_REPLAYABLE` says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sivo.calls.capture import decide
from sivo.config.registry import KEYS
from sivo.routing import decide as routing
from sivo.routing.decide import NOT_FOUND, Refuse, RouteDecision, Target, ToAgent, ToExtension, ToGroup
from sivo.routing.directory import Agent, Directory, Extension, TenantPicture
from sivo.routing.targets import agent_of

#: Keys that went out on the wire to a provider: known exactly where the call read them.
WIRE = (
    "ai.stt_provider",
    "ai.stt_model",
    "ai.llm_base_url",
    "ai.llm_model",
    "ai.tts_provider",
    "ai.tts_model",
    "ai.tts_voice_id",
)
#: Keys that a replay answers for, one way or another.
REPLAYED = frozenset(
    {name for name in KEYS if name.startswith(("recording.", "transcription."))}
    | {*WIRE, "ai.max_turns", "ai.max_duration_sec", "tenant.default_locale"}
)
_TIMING = "the caller would have been heard at other moments; what they would have said then is not known"
NOT_REPLAYABLE: Mapping[str, str] = {
    "ai.barge_in_cooldown_ms": _TIMING,
    "ai.speech_min_ms": _TIMING,
    "tenant.timezone": "it changes how calls are shown, not what happens on them",
    "tenant": "a call does not depend on it; phones and people sign in to another name",
    "auth": "it is about signing in, not about calls",
    "sf": "what Salesforce would have answered is not stored",
    "webhooks": "what the receiver would have answered, and when, is not stored",
}
#: Kinds of resources whose changes a replay sees.
KINDS = (
    "did",
    "trunk",
    "extension",
    "ai_agent",
    "schedule",
    "ring_group",
    "recording_policy",
    "transcription_policy",
)
KIND_REASONS: Mapping[str, str] = {
    "user": "a call depends on a person through extensions and policies, not on these fields",
    "webhook_endpoint": NOT_REPLAYABLE["webhooks"],
    "secret": "what a provider would have said to another key is not known",
    "lead_inbox": "calls do not depend on it",
    "change_control": "it is about changes, not about calls",
    "api_key": "it is about who may ask the platform, not about calls",
    "carrier_limits": "how many other calls a tenant had at the time is not stored with a call",
}
AGENT_REASON = "what an agent with other words or intents would have said is not known; only its route and limits are"


@dataclass(frozen=True, slots=True)
class PastCall:
    """What is stored of one call and matters to a replay."""

    id: UUID
    at: datetime
    direction: str
    from_number: str
    to_number: str
    trunk_id: UUID | None
    answered: bool
    #: Completed turns with the agent, how long it was on the line, and how that ended (empty: it was not).
    turns: int
    talked_ms: int
    exit_reason: str
    reads: frozenset[str]
    #: Number of the extension that was on the far side at the end, when a phone of the tenant was.
    callee: str = ""
    #: Id of the queue that it went through; empty where it went through none.
    queue: str = ""


def differences(calls: Iterable[PastCall], now: TenantPicture, after: TenantPicture) -> list[dict[str, Any]]:
    """The calls that would have gone otherwise, each with what and by which rule."""
    old, new = _Bench(now), _Bench(after)
    found = []
    for call in calls:
        before, then = old.outcome(call), new.outcome(call)
        changes = [
            {"what": name, "now": before.get(name), "after": then.get(name), **_rule(then, name)}
            for name in _names(before, then)
            if before.get(name) != then.get(name)
        ]
        if changes:
            told: dict[str, Any] = {"call_id": str(call.id), "at": call.at.isoformat()}
            told |= {"from": call.from_number, "to": call.to_number, "changes": changes}
            if before["route"] != then["route"]:
                told["if_answered"] = True  # whether another target would have answered is not known
            found.append(told)
    return found


def not_replayable(keys: Iterable[str], kinds: Iterable[str]) -> list[dict[str, str]]:
    """Which of the changed keys and kinds a replay says nothing about, and why."""
    found = [
        {"what": name, "reason": NOT_REPLAYABLE.get(name) or NOT_REPLAYABLE[name.split(".", 1)[0]]}
        for name in keys
        if name not in REPLAYED
    ]
    for kind in kinds:
        if kind not in KINDS:
            found.append({"what": kind, "reason": KIND_REASONS.get(kind, "calls do not depend on it")})
    return found + [{"what": "ai_agent", "reason": AGENT_REASON} for kind in kinds if kind == "ai_agent"]


def explanation(picture: TenantPicture, call: PastCall) -> dict[str, dict[str, Any]]:
    """Everything that would be decided on ``call``, each with the rule that decides it."""
    found = _Bench(picture).outcome(call)
    return {name: {"value": found[name], **_rule(found, name)} for name in _names(found)}


class _Bench:
    """Decides past calls on one configuration."""

    def __init__(self, picture: TenantPicture) -> None:
        self._picture = picture
        self._directory = Directory([picture])

    def outcome(self, call: PastCall) -> dict[str, Any]:
        """Everything that a replay can say; rules under names that begin with a dot."""
        route = self._route(call)
        found: dict[str, Any] = {"route": _target(route.target), ".route": route.rule}
        if isinstance(route.target, Refuse):
            return found
        agent = _agent(call, route)
        snapshot = self._picture.snapshot(route.did, agent)
        people = self._people(call, route)
        recording, transcription = decide(self._picture, route.did, people, snapshot.read, call.queue)
        recorded = call.answered and recording.capture
        found |= {"recorded": recorded, ".recorded": recording.rule}
        if recorded:
            names = ("format", "retention_days", "provider_id", "kms", "expiry_action")
            found |= {f"recording.{name}": getattr(recording, name) for name in names}
            found |= {f".recording.{name}": rule for name, rule in recording.sources.items()}
        transcribed = call.answered and transcription.capture
        found |= {"transcribed": transcribed, ".transcribed": transcription.rule}
        if transcribed:
            own = ("language", "retention_days", "push_to_sf")
            # On AI calls the agent's own stream is the transcript; the engine of the policy opens no second one.
            shown = own if agent else ("engine", *own, "speaker_separation")
            found |= {f"transcription.{name}": getattr(transcription, name) for name in shown}
            found |= {f".transcription.{name}": rule for name, rule in transcription.sources.items()}
        if agent is not None and call.answered:
            found |= {name: snapshot.read(name) for name in WIRE if name in call.reads}
            found["cut_off"] = cut_off(call, snapshot.read("ai.max_turns"), snapshot.read("ai.max_duration_sec"))
        return found

    def _route(self, call: PastCall) -> RouteDecision:
        if self._picture.tenant.status != "active":
            return _refused(call, "tenant.suspended")
        if call.direction == "inbound":
            trunk = self._directory.trunk(call.trunk_id) if call.trunk_id else None
            found = self._directory.did_on_trunks([trunk], call.to_number) if trunk else None
            if trunk is None or found is None:
                return _refused(call, "trunk.unknown_number")
            return routing.from_trunk(self._directory, found[0], trunk, call.from_number, call.at)
        caller = self._extension(call.from_number)
        if caller is None:
            return _refused(call, "extension.gone")
        return routing.from_extension(self._directory, caller, call.to_number, call.at)

    def _people(self, call: PastCall, route: RouteDecision) -> tuple[Extension | None, ...]:
        caller = None if call.direction == "inbound" else self._extension(call.from_number)
        if isinstance(route.target, ToExtension):
            return caller, route.target.extension
        return caller, self._extension(call.callee) if call.callee else None

    def _extension(self, number: str) -> Extension | None:
        return self._directory.extension(self._picture.tenant.id, number)


def cut_off(call: PastCall, max_turns: int, max_duration_sec: int) -> str | None:
    """Where the limits would have ended the conversation; None when they would not.

    A conversation that ended by itself with the last turn allowed is not cut.
    """
    limited = call.exit_reason in ("max_turns", "max_duration")
    by_turns = call.turns > max_turns or (call.turns == max_turns and call.exit_reason == "max_turns")
    over = call.talked_ms > max_duration_sec * 1000
    if by_turns:
        return f"max_turns after turn {max_turns}"
    if over:
        return f"max_duration after {max_duration_sec} s"
    return "goes on; what would have been said then is not known" if limited else None


def _agent(call: PastCall, route: RouteDecision) -> Agent | None:
    """The AI agent that the call comes to; behind a ring group only when nobody else took it, as it did."""
    if isinstance(route.target, ToAgent):
        return route.target.agent
    return agent_of(route.target) if call.exit_reason else None


def _target(target: Target) -> str:
    match target:
        case ToAgent(agent):
            return f"ai_agent {agent.name}"
        case ToExtension(extension):
            return f"extension {extension.number}"
        case ToGroup(group, extensions, otherwise):
            numbers = ", ".join(one.number for one in extensions)
            rung = f"ring_group {group.name} ({numbers}; {group.strategy}, {group.ring_seconds:.0f} s)"
            return f"{rung}, then {_target(otherwise)}"
        case Refuse(status, phrase, _):
            return f"refused {status} {phrase}"
    return f"trunk {target.trunk.name} {target.number}"


def _refused(call: PastCall, rule: str) -> RouteDecision:
    return RouteDecision(NOT_FOUND, rule, "", call.direction, call.from_number, call.to_number)


def _names(*outcomes: Mapping[str, Any]) -> Sequence[str]:
    return list(dict.fromkeys(name for one in outcomes for name in one if not name.startswith(".")))


def _rule(outcome: Mapping[str, Any], name: str) -> dict[str, str]:
    rule = outcome.get(f".{name}")
    return {"rule": rule} if rule else {}
