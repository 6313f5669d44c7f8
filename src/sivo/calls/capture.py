"""Whether a call is recorded and transcribed: both policies over its parties and its pinned configuration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sivo.config.policies import Parties
from sivo.config.snapshot import Reader
from sivo.recording import policy as recording
from sivo.recording.policy import RecordingDecision
from sivo.routing.directory import Did, Extension, TenantPicture
from sivo.transcription import policy as transcription
from sivo.transcription.policy import TranscriptionDecision


def parties(did: Did | None, people: tuple[Extension | None, ...], queue: str = "") -> Parties:
    """Whom a decision is about: ``people`` on a call through ``did`` (None: a side that is no person of the tenant).

    ``queue`` is the id of the queue that it has come to; empty where it has come to none.
    """
    users = tuple(str(person.user_id) for person in people if person is not None and person.user_id is not None)
    return Parties(did=str(did.id) if did else "", queue=queue, people=users)


def basis(picture: TenantPicture, config: Reader, people: tuple[Extension | None, ...]) -> tuple[object, ...]:
    """What both decisions hang on, to be compared by identity. Without a policy it does not matter who is there."""
    policies = picture.recording_policies or picture.transcription_policies
    return (picture, config, *(people if policies else ()))


def decide(
    picture: TenantPicture,
    did: Did | None,
    people: tuple[Extension | None, ...],
    read: Callable[[str], Any],
    queue: str = "",
) -> tuple[RecordingDecision, TranscriptionDecision]:
    """Both decisions for a call (see :func:`parties`)."""
    about, language = parties(did, people, queue), did.language if did else ""
    return (
        recording.decide(picture.recording_policies, about, read),
        transcription.decide(picture.transcription_policies, about, read, did_language=language),
    )
