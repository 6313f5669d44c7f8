"""What a simulated vendor account says and does: its words, its timing, its faults, and the ledger of what was asked.

An account is a key. Everything is scripted per key, so that many tests (or people) share one process without meeting.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Ms = Annotated[int, Field(ge=0, le=600_000)]
_GREETED: tuple[str | dict[str, Any], ...] = ("Hello, how can I help you?",)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SttScript(_Part):
    """What speech-to-text hears.

    ``tones``: frequency in Hz (a multiple of 50) -> word; every tone burst of 60 ms or more is heard as that word, with
    its exact times, also when the same audio is sent twice; a hole of up to 140 ms makes no second word.
    ``utterances``: what voice (no tone) is heard as, one stretch of voice after the other; the last one repeats.
    """

    utterances: list[str] = Field(default_factory=lambda: ["hello"])
    tones: dict[int, str] = Field(default_factory=dict)
    #: Length of one word in voice.
    word_ms: Ms = 250
    #: Audio between two interim results.
    partial_every_ms: Ms = 200
    #: From the request for a final (or the end of speech) to the final.
    final_delay_ms: Ms = 150
    #: Speech longer than that is finalised in pieces.
    piece_ms: Ms = 5_000


class TtsScript(_Part):
    """How text-to-speech behaves. ``tones``: text -> frequency in Hz; such a text is a tone of 60 ms a character (at
    most 1 s) instead of speech, so that a phone can tell by ear what it hears."""

    #: Voices of the account; an empty list has every voice.
    voices: list[str] = Field(default_factory=list)
    #: Models that are served; an empty list serves every model that ElevenLabs has (OpenAI: any).
    models: list[str] = Field(default_factory=list)
    tones: dict[str, int] = Field(default_factory=dict)
    #: Language that espeak-ng speaks for this account.
    spoken: str = "en-us"
    #: From the text to its first audio, and between two pieces of 200 ms of audio.
    first_byte_ms: Ms = 120
    piece_every_ms: Ms = 5
    #: From the last audio of a context to its ``isFinal``.
    final_ms: Ms = 5
    #: Whether the workspace may use the text-to-dialogue sockets.
    dialogue: bool = True


class LlmScript(_Part):
    """What a chat model answers. ``replies``: one a request, words or a whole JSON object (sent as JSON text); the last
    one repeats."""

    replies: list[str | dict[str, Any]] = Field(default_factory=lambda: [*_GREETED])
    #: Reasoning that comes first; ``reasoning_in``: the field it comes in, or ``think`` for tags inside the answer.
    reasoning: str = ""
    reasoning_in: str = "reasoning_content"
    #: Models that are served (empty: any) and models that were retired.
    models: list[str] = Field(default_factory=list)
    retired: list[str] = Field(default_factory=list)
    first_token_ms: Ms = 200
    token_every_ms: Ms = 2
    #: Answer 400 to ``stream_options``, as some servers do.
    refuses_stream_options: bool = False
    #: Where usage stands: ``usage``, ``x_groq`` or nowhere.
    usage_in: str = "usage"


class FaultOrder(_Part):
    """Something that goes wrong. ``protocol`` and ``kind`` are named by the server that carries it out; it happens on
    uses ``skip`` to ``skip + times`` of that protocol, ``after_ms`` of audio (or time) into it."""

    protocol: str
    kind: str
    skip: Annotated[int, Field(ge=0)] = 0
    times: Annotated[int, Field(ge=1)] = 1
    after_ms: Ms = 0


class Script(_Part):
    """Everything about one account."""

    stt: SttScript = Field(default_factory=SttScript)
    tts: TtsScript = Field(default_factory=TtsScript)
    llm: LlmScript = Field(default_factory=LlmScript)
    faults: list[FaultOrder] = Field(default_factory=list)


class Entry(BaseModel):
    """One line of the ledger. ``what``: ``open``, ``message``, ``request``, ``close`` or ``offence``."""

    at_ms: int
    protocol: str
    what: str
    #: Which use of the protocol (connection or request) it belongs to, from 0.
    use: int
    data: dict[str, Any]


class Account:
    """One key: its script, how often each protocol was used, and everything that was asked."""

    def __init__(self, key: str, script: Script | None = None) -> None:
        self.key = key
        self.script = script or Script()
        self.ledger: list[Entry] = []
        #: Free for servers: what they remember between two uses (audio that was heard before, for example).
        self.memory: dict[str, Any] = {}
        self._uses: dict[str, int] = {}

    def use(self, protocol: str, data: dict[str, Any]) -> int:
        """A connection or request has come; gives its number among those of the protocol."""
        number = self._uses.get(protocol, 0)
        self._uses[protocol] = number + 1
        self.write(protocol, number, "open", data)
        return number

    def write(self, protocol: str, use: int, what: str, data: dict[str, Any]) -> None:
        """Add to the ledger."""
        at_ms = int(time.monotonic() * 1000)
        self.ledger.append(Entry(at_ms=at_ms, protocol=protocol, what=what, use=use, data=data))

    def fault(self, protocol: str, use: int) -> FaultOrder | None:
        """What goes wrong with this use, if anything."""
        for order in self.script.faults:
            if order.protocol == protocol and order.skip <= use < order.skip + order.times:
                return order
        return None

    def entries(self, protocol: str, what: str) -> Iterator[Entry]:
        """Lines of the ledger of one kind."""
        return (entry for entry in self.ledger if (entry.protocol, entry.what) == (protocol, what))

    @property
    def offences(self) -> list[Entry]:
        """What a client did that the vendor's documentation forbids."""
        return [entry for entry in self.ledger if entry.what == "offence"]


class World:
    """All accounts of one process. ``anyone``: a key that nobody made gets an account with the default script."""

    def __init__(self, *, anyone: bool = True) -> None:
        self.accounts: dict[str, Account] = {}
        self._anyone = anyone

    def make(self, key: str, script: Script | None = None) -> Account:
        """Make an account, or start it anew."""
        account = self.accounts[key] = Account(key, script)
        return account

    def find(self, key: str) -> Account | None:
        """The account of ``key``; None for a key that is refused (an empty one always is)."""
        if key and key not in self.accounts and self._anyone:
            return self.make(key)
        return self.accounts.get(key)
