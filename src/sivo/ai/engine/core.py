"""Everything that one conversation remembers between two events, and the few ways to change it that all parts share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sivo.ai.context import Context
from sivo.ai.engine.effects import Effect, Report, Tell, Unlisten
from sivo.ai.engine.states import Reply, State, UserTurn, VoiceSegment
from sivo.ai.phrases import Phrases
from sivo.ai.phrases import phrases as phrases_of
from sivo.ai.prompt import system_message
from sivo.media.protocol import ConversationSpec, FactBody, Stage


@dataclass(slots=True)
class PauseOfAgent:
    """The agent was paused because the caller may be interrupting."""

    at_ms: float
    voiced_ms: float


@dataclass(slots=True)
class Ending:
    """Why the conversation is coming to its end."""

    reason: str
    transfer_to: str = ""
    detail: str = ""


@dataclass(slots=True)
class Core:
    """State of one conversation. Only the modules of this package touch it."""

    spec: ConversationSpec
    phrases: Phrases
    context: Context
    now: float = 0.0
    state: State = State.CONNECTING
    out: list[Effect] = field(default_factory=list)
    #: Name -> time at which it is due.
    timers: dict[str, float] = field(default_factory=dict)

    epoch: int = 0
    utterance_count: int = 0
    segment_count: int = 0

    #: The caller's voice segment that is open now.
    segment: VoiceSegment | None = None
    #: Closed segments whose final text has not come.
    pending: dict[int, VoiceSegment] = field(default_factory=dict)
    turn: UserTurn | None = None
    last_voice_ms: float = float("-inf")
    #: End of the last voice that nobody listened to.
    ignored_to_ms: float = float("-inf")

    reply: Reply | None = None
    pause: PauseOfAgent | None = None
    #: When the last frame of agent speech left.
    last_agent_ms: float = float("-inf")
    cooldown_until: float = float("-inf")
    #: What the agent said last, for the echo test.
    last_agent_text: str = ""

    #: User turns that got a reply.
    turns: int = 0
    reprompts: int = 0
    #: Words of a user turn whose reply was cancelled before any of it was heard, and where they began.
    carried: tuple[str, float] | None = None
    prepared: set[str] = field(default_factory=set)
    #: Speech synthesis has failed for good: only prepared phrases can be spoken.
    mute: bool = False
    over_time: bool = False
    ending: Ending | None = None
    variables: dict[str, Any] = field(default_factory=dict)
    usage: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, spec: ConversationSpec) -> Core:
        """A conversation that has not begun."""
        return cls(spec, phrases_of(spec), Context(system_message(spec)))

    @property
    def voices(self) -> list[Stage]:
        """Everyone who may speak."""
        return [self.spec.tts, *(stage for name, stage in self.spec.second.items() if name == "tts")]

    def effect(self, effect: Effect) -> None:
        """Want something done."""
        self.out.append(effect)

    def report(self, body: FactBody) -> None:
        """State a fact."""
        self.out.append(Report(body))

    def enter(self, state: State) -> None:
        """Change state; the feed is told."""
        if state is not self.state:
            self.state = state
            self.out.append(Tell("state", {"state": str(state)}))

    def count(self, name: str, amount: float) -> None:
        """Add to the usage that the end report carries."""
        self.usage[name] = self.usage.get(name, 0.0) + amount

    def agent_audible(self, gap_ms: float) -> bool:
        """Whether the agent was heard less than ``gap_ms`` ago, or is only paused."""
        return self.pause is not None or self.now - self.last_agent_ms < gap_ms

    def forget_caller(self) -> None:
        """Drop what the caller is saying; its text is not wanted any more."""
        segments = list(self.pending.values()) + ([self.segment] if self.segment else [])
        for segment in segments:
            if segment.sent:
                self.effect(Unlisten(segment.number))
        self.pending.clear()
        self.segment = None
        self.turn = None
        for name in ("commit", "digits", "silence"):
            self.timers.pop(name, None)
