"""How a conversation ends: after the last frame was sent, with one reason from the closed list."""

from __future__ import annotations

from sivo.ai.engine import cooldown, effects, limits, replies, segments
from sivo.ai.engine.core import Core, Ending
from sivo.ai.engine.states import Kind, Reply, State
from sivo.media.protocol import EXIT_REASONS, ConversationEnded


def after(core: Core, reply: Reply) -> None:
    """The reply was said completely: what now?"""
    if reply.kind in (Kind.APOLOGY, Kind.CLOSING):
        ending = core.ending or Ending("provider_failure")
        end(core, ending.reason, ending.transfer_to, ending.detail)
    elif reply.action == "hangup":
        end(core, "agent_hangup")
    elif reply.action == "transfer" and core.spec.transfer_to:
        end(core, "transfer", core.spec.transfer_to)
    elif core.over_time:
        say_goodbye(core, "max_duration")
    elif core.turns >= core.spec.max_turns:
        say_goodbye(core, "max_turns")
    else:
        cooldown.begin(core)


def say_goodbye(core: Core, reason: str) -> None:
    """Say the closing phrase, then end with ``reason``."""
    core.ending = Ending(reason)
    core.forget_caller()
    reply = replies.new(core, Kind.CLOSING)
    reply.interruptible = False
    core.enter(State.CLOSING)
    core.timers["closing"] = core.now + limits.CLOSING_MS
    if not core.mute or core.phrases.closing in core.prepared:
        replies.speak(core, reply, core.phrases.closing)
    reply.text_complete = True
    replies.check_finished(core)


def end(core: Core, reason: str, transfer_to: str = "", detail: str = "") -> None:
    """Everything is said; leave the last frame time to be heard."""
    core.forget_caller()
    core.ending = Ending(reason, transfer_to, detail)
    core.enter(State.TRANSFERRING if transfer_to else State.CLOSING)
    core.timers.clear()
    core.timers["end"] = core.now + limits.END_TAIL_MS


def overdue(core: Core) -> None:
    """The last words never got out (a caller on hold, say)."""
    ending = core.ending or Ending("provider_failure")
    end(core, ending.reason, ending.transfer_to, ending.detail)


def finish(core: Core) -> None:
    """The conversation is over."""
    ending = core.ending or Ending("node_failure")
    core.timers.clear()
    core.enter(State.ENDED)
    core.report(
        ConversationEnded(
            reason=ending.reason,
            turns=core.turns,
            at_ms=int(core.now),
            transfer_to=ending.transfer_to,
            detail=ending.detail,
            variables=dict(core.variables),
            usage={name: round(value, 1) for name, value in core.usage.items()},
        )
    )
    core.effect(effects.Finish())


def stop(core: Core, reason: str) -> None:
    """End at once, from outside. ``ValueError`` for a reason that is not on the list."""
    if reason not in EXIT_REASONS:
        raise ValueError(f"{reason!r} is not a reason for the end of a conversation: {', '.join(EXIT_REASONS)}")
    if core.state is State.ENDED:
        return
    core.effect(effects.Clear())
    if core.reply is not None:
        replies.abandon(core)
    if core.turn is not None:
        for segment in core.turn.segments:
            segments.transcript(core, segment, None)
    core.forget_caller()
    if core.ending is None or "end" not in core.timers:
        core.ending = Ending(reason)
    finish(core)
