"""What ``call`` and ``media`` say to each other over a local socket.

Every message is one msgpack document (tagged structs) behind a 4-byte big-endian length. ``call`` sends
:data:`Command`, ``media`` answers each with :class:`Done` or :class:`Refused` carrying the command's ``ref``, and
sends :class:`Fact` and :class:`Note` of its own accord. A fact is written to the session's journal before it is sent
and stays there until ``call`` has acknowledged it with :class:`Ack`; a note is only of the moment.

Times called ``*_ms`` are milliseconds since the session's capture clock started (the answer of the call) unless a
field says otherwise. Audio is 8 kHz; a frame is 20 ms.
"""

from __future__ import annotations

from sivo.media.protocol.answers import (
    Done,
    Hello,
    LegStats,
    Note,
    Refused,
)
from sivo.media.protocol.commands import (
    Ack,
    AddLeg,
    Bridge,
    CloseSession,
    Command,
    Drain,
    Mix,
    OpenSession,
    RemoveLeg,
    SendDigits,
    SetRemote,
    StartCapture,
    StartConversation,
    StartTranscription,
    StopCapture,
    StopConversation,
    StopTranscription,
    TakeDigit,
    Unbridge,
)
from sivo.media.protocol.descriptions import (
    ConversationSpec,
    Intent,
    Remote,
    SrtpKeys,
    Stage,
    TranscriptionSpec,
)
from sivo.media.protocol.facts import (
    EXIT_REASONS,
    CaptureChanged,
    ConversationEnded,
    Digit,
    Fact,
    FactBody,
    Interruption,
    MediaTimeout,
    ProviderFault,
    Segment,
    SlowCallback,
    TranscriptionStarted,
    Turn,
)
from sivo.media.protocol.figures import MediaFigures
from sivo.media.protocol.frames import (
    MAX_MESSAGE,
    Deframer,
    Event,
    command_decoder,
    encode,
    event_decoder,
)

__all__ = [
    "EXIT_REASONS",
    "MAX_MESSAGE",
    "Ack",
    "AddLeg",
    "Bridge",
    "CaptureChanged",
    "CloseSession",
    "Command",
    "ConversationEnded",
    "ConversationSpec",
    "Deframer",
    "Digit",
    "Done",
    "Drain",
    "Event",
    "Fact",
    "FactBody",
    "Hello",
    "Intent",
    "Interruption",
    "LegStats",
    "MediaFigures",
    "MediaTimeout",
    "Mix",
    "Note",
    "OpenSession",
    "ProviderFault",
    "Refused",
    "Remote",
    "RemoveLeg",
    "Segment",
    "SendDigits",
    "SetRemote",
    "SlowCallback",
    "SrtpKeys",
    "Stage",
    "StartCapture",
    "StartConversation",
    "StartTranscription",
    "StopCapture",
    "StopConversation",
    "StopTranscription",
    "TakeDigit",
    "TranscriptionSpec",
    "TranscriptionStarted",
    "Turn",
    "Unbridge",
    "command_decoder",
    "encode",
    "event_decoder",
]
