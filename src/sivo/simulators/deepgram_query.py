"""The query of ``GET /v1/listen`` as Deepgram's reference lists it; anything else is refused, as a typo should be.

Source: https://developers.deepgram.com/reference/speech-to-text/listen-streaming
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

_MODELS = re.compile(r"(nova-3|nova-2|nova|enhanced|base)(-[a-z]+)*|whisper(-[a-z]+)?")
_LANGUAGE = re.compile(r"multi|[a-z]{2}(-[A-Za-z0-9]{2,4})?")
_ENCODINGS = {"linear16", "linear32", "flac", "alaw", "mulaw", "amr-nb", "amr-wb", "opus", "ogg-opus", "speex", "g729"}


class BadQueryError(ValueError):
    """What is wrong with the query."""


def _flag(value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise ValueError("true or false")
    return value.lower() == "true"


def _endpointing(value: str) -> int | None:
    return None if value.lower() == "false" else 10 if value.lower() == "true" else _count(value)


def _count(value: str) -> int:
    if not value.isdigit():
        raise ValueError("a number")
    return int(value)


_FLAGS = (
    *("dictation", "diarize", "interim_results", "mip_opt_out", "multichannel", "numerals", "profanity_filter"),
    *("punctuate", "smart_format", "vad_events", "detect_entities", "filler_words", "no_delay"),
)
_NUMBERS = ("channels", "sample_rate", "utterance_end_ms")
_TEXTS = ("callback", "callback_method", "diarize_model", "encoding", "language", "model", "version")
_LISTS = ("extra", "keyterm", "keywords", "redact", "replace", "search", "tag")
_HEARD = ("mulaw", "alaw", "linear16")
_PARSERS: dict[str, Callable[[str], object]] = {
    **dict.fromkeys(_FLAGS, _flag),
    **dict.fromkeys(_NUMBERS, _count),
    **dict.fromkeys(_TEXTS, str),
    **dict.fromkeys(_LISTS, str),
    "endpointing": _endpointing,
}


@dataclass(frozen=True, slots=True)
class Query:
    """What a stream was opened with; ``endpointing_ms`` None = switched off."""

    model: str
    encoding: str
    language: str = "en"
    sample_rate: int = 8000
    channels: int = 1
    interim_results: bool = False
    vad_events: bool = False
    endpointing_ms: int | None = 10
    utterance_end_ms: int = 0
    smart_format: bool = False


def parse(pairs: Iterable[tuple[str, str]]) -> Query:
    """Read a query string; :class:`BadQueryError` says which parameter is wrong."""
    got: dict[str, object] = {}
    for name, value in pairs:
        parser = _PARSERS.get(name)
        if parser is None:
            raise BadQueryError(f"unknown parameter {name!r}")
        if name in got and name not in _LISTS:
            raise BadQueryError(f"{name} is given twice")
        try:
            got[name] = parser(value)
        except ValueError as error:
            raise BadQueryError(f"{name}={value!r}: {error} is wanted") from error
    return _checked(got)


def _checked(got: dict[str, object]) -> Query:
    if not _MODELS.fullmatch(str(got.get("model", ""))):
        raise BadQueryError("No such model/language/tier combination found.")
    if not _LANGUAGE.fullmatch(str(got.get("language", "en"))):
        raise BadQueryError("No such model/language/tier combination found.")
    if got.get("encoding") not in _ENCODINGS or not got.get("sample_rate"):
        raise BadQueryError("raw audio needs encoding and sample_rate")
    if (
        got["encoding"] not in ("mulaw", "alaw", "linear16")
        or got["sample_rate"] != 8000
        or got.get("channels", 1) != 1
    ):
        raise BadQueryError("this double hears mulaw, alaw and linear16 at 8000 Hz, one channel")
    end_ms = got.get("utterance_end_ms", 0)
    assert isinstance(end_ms, int)
    if end_ms and (end_ms < 1000 or not got.get("interim_results")):
        raise BadQueryError("utterance_end_ms is 1000 or more and needs interim_results=true")
    names = Query.__dataclass_fields__
    known = {name: value for name, value in got.items() if name in names}
    if "endpointing" in got:
        known["endpointing_ms"] = got["endpointing"]
    return Query(**known)  # type: ignore[arg-type]
