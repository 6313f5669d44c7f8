"""AI voice agents as a tenant describes them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from sivo.config.kinds import Body, ResourceKind, Unique, register_kind
from sivo.config.values import HttpUrl, LanguageCode, Name

Speech = Annotated[str, StringConstraints(max_length=2_000)]
IntentName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,49}$")]
Phrase = Annotated[str, StringConstraints(min_length=1, max_length=300)]
#: An extension, an E.164 number or nothing.
TransferTarget = Annotated[str, StringConstraints(pattern=r"^([0-9]{3,5}|\+[1-9][0-9]{6,14})?$")]


class Intent(Body):
    """One thing a caller may want, with sample phrases; local recognition and rules are generated from it."""

    name: IntentName
    phrases: Annotated[list[Phrase], Field(min_length=1, max_length=50)]
    reply: Speech
    action: Literal["continue", "transfer", "hangup"] = "continue"
    #: Only recognised right after one of these intents (empty: always).
    after: Annotated[list[IntentName], Field(max_length=50, default_factory=list)]
    variables: Annotated[
        dict[IntentName, Annotated[str, StringConstraints(max_length=500)]], Field(max_length=50, default_factory=dict)
    ]


class SecondProvider(Body):
    """Takes over when the first provider of a stage fails. Its key is the secret ``<stage>_second_api_key``."""

    #: For ``stt`` and ``tts``, as the keys ``ai.stt_provider`` and ``ai.tts_provider``.
    provider: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")] | None = None
    #: For ``llm``: an OpenAI-compatible endpoint, or ``local``.
    base_url: HttpUrl | Literal["local"] | None = None
    model: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    #: For ``tts``; without one the voice of the platform's table for the language.
    voice: Annotated[str, StringConstraints(min_length=1, max_length=128)] | None = None


class AiAgent(Body):
    """Who answers when no person does. Empty limits and voice fall to the keys of group ``ai``."""

    name: Name
    prompt: Annotated[str, StringConstraints(max_length=20_000)] = ""
    greeting: Speech = ""
    greeting_interruptible: bool = True
    #: Spoken language; without one the DID's transcription language, then the tenant's locale.
    language: LanguageCode | None = None
    #: Stands in for ``ai.tts_voice_id``.
    voice: Annotated[str, StringConstraints(min_length=1, max_length=128)] | None = None
    intents: Annotated[list[Intent], Field(max_length=100, default_factory=list)]
    transfer_to: TransferTarget = ""
    #: Stage -> who takes over when the provider of the keys fails.
    second: Annotated[dict[Literal["stt", "llm", "tts"], SecondProvider], Field(default_factory=dict)]
    #: Stand in for ``ai.max_turns`` and ``ai.max_duration_sec``.
    max_turns: Annotated[int, Field(ge=1, le=200)] | None = None
    max_duration_sec: Annotated[int, Field(ge=10, le=7_200)] | None = None
    #: Silence of the caller after which the agent asks again.
    silence_timeout_ms: Annotated[int, Field(ge=1_000, le=120_000)] = 10_000
    max_reprompts: Annotated[int, Field(ge=0, le=10)] = 2
    #: Said while a slow provider is waited for, when one failed, at the end, and after silence.
    filler: Speech = ""
    apology: Speech = ""
    closing: Speech = ""
    reprompt: Speech = ""
    active: bool = True

    @model_validator(mode="after")
    def _second_providers_have_a_place(self) -> Self:
        for stage, second in self.second.items():
            if stage == "llm" and second.base_url is None:
                raise ValueError("the second provider of llm needs base_url")
            if stage != "llm" and second.provider is None:
                raise ValueError(f"the second provider of {stage} needs provider")
        return self

    @model_validator(mode="after")
    def _intents_are_consistent(self) -> Self:
        names = [intent.name for intent in self.intents]
        if len(set(names)) != len(names):
            raise ValueError("two intents have the same name")
        for intent in self.intents:
            unknown = sorted(set(intent.after) - set(names))
            if unknown:
                raise ValueError(f"intent {intent.name} comes after {unknown[0]}, which is not an intent of this agent")
            if intent.action == "transfer" and not self.transfer_to:
                raise ValueError(f"intent {intent.name} transfers, but transfer_to is empty")
        return self


AI_AGENT = register_kind(
    ResourceKind(
        name="ai_agent",
        plural="ai-agents",
        model=AiAgent,
        unique=(Unique("ai_agent.name", ("name",)),),
    )
)
