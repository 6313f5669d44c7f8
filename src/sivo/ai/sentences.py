"""Cuts streamed text into pieces that can be spoken one after the other, and cleans them of what is not speech.

A piece ends with a sentence; the first one of a reply may end at a comma from 40 characters on, so that the voice
starts sooner. Decimals, abbreviations, ordinals, phone numbers, digit lists and audio tags are never split.
"""

from __future__ import annotations

import re

#: From this length on the first piece may end at a comma.
FIRST_CHARS = 40
#: A piece without any sentence end is cut at a space before this length.
MAX_CHARS = 400

_ABBREVIATIONS = frozenset(
    """mr mrs ms dr prof st sr jr vs etc e.g i.e approx no nr tel ext fig inc ltd co dept est a.m p.m u.s u.k
    sra srta d dª ud uds dña av avda núm pág p.ej art cía tfno
    hr fr z.b bzw usw ca str d.h u.a evtl ggf inkl zzgl vgl
    m mme mlle p.ex env av.j.-c rdv
    sig sigg dott ing avv ecc pag
    sr.ª exmo exma lda""".split()  # noqa: SIM905 - readable as a list of words
)
_END = re.compile(r"[.!?…]+[\"'»”’)\]]*(?=\s)|[。！？]|\n+")
_COMMA = re.compile(r"[,;:](?=\s)|\s[–—](?=\s)")
_WORD_BEFORE = re.compile(r"([^\s(\"'«“¿¡]+)$")
_TAG = re.compile(r"\[[^\]\n]{1,40}\]")
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_EMOJI = re.compile(
    "[\U0001f000-\U0001faff\U00002600-\U000027bf\U00002b00-\U00002bff\U0000fe00-\U0000fe0f\U0000200d\U000020e3\U000e0020-\U000e007f]+"
)
_LINE_MARKS = re.compile(r"(?m)^\s{0,3}(?:#{1,6}\s+|>\s?|[-*+•]\s+|\|)")
_EMPHASIS = re.compile(r"(\*{1,3}|_{2,3}|~~|`{1,3})")
_SINGLE_UNDERSCORE = re.compile(r"(?<!\w)_([^_]+)_(?!\w)")


def clean(text: str, *, keep_tags: bool = False) -> str:
    """Text as it is spoken: no markdown, no emoji; audio tags (``[laughs]``) only with ``keep_tags``."""
    text = _LINK.sub(r"\1", text)
    if not keep_tags:
        text = _TAG.sub(" ", text)
    text = _LINE_MARKS.sub("", text)
    text = _EMPHASIS.sub("", text)
    text = _SINGLE_UNDERSCORE.sub(r"\1", text)
    text = _EMOJI.sub(" ", text)
    text = re.sub(r"\s+", " ", text).strip()
    return re.sub(r"\s+([,.;:!?…])", r"\1", text)


def speakable(text: str) -> bool:
    """Whether anything in ``text`` makes a sound."""
    return any(sign.isalnum() for sign in text)


class SentenceCutter:
    """Feed text as it arrives; get whole pieces, uncleaned. German writes ordinals with a full stop."""

    def __init__(self, language: str = "en") -> None:
        self._ordinals = language[:2].lower() == "de"
        self._buffer = ""
        self._first = True

    def feed(self, text: str) -> list[str]:
        """Add text; returns the pieces that are complete now."""
        self._buffer += text
        pieces: list[str] = []
        while (end := self._next_end()) is not None:
            piece, self._buffer = self._buffer[:end].strip(), self._buffer[end:]
            if speakable(piece):
                pieces.append(piece)
                self._first = False
        return pieces

    def flush(self) -> list[str]:
        """No more text comes: the rest."""
        rest, self._buffer = self._buffer.strip(), ""
        return [rest] if speakable(rest) else []

    def _next_end(self) -> int | None:
        for match in _END.finditer(self._buffer):
            if self._inside_tag(match.start()):
                continue
            if match.group().startswith(".") and self._is_not_end(match):
                continue
            return match.end()
        if self._first:
            for match in _COMMA.finditer(self._buffer, FIRST_CHARS):
                if not self._inside_tag(match.start()) and not self._between_digits(match):
                    return match.end()
        if len(self._buffer) > MAX_CHARS:
            return self._buffer.rfind(" ", 1, MAX_CHARS) + 1 or MAX_CHARS
        return None

    def _inside_tag(self, place: int) -> bool:
        opened = self._buffer.rfind("[", 0, place)
        return opened >= 0 and self._buffer.find("]", opened, place) < 0 and place - opened <= 40

    def _between_digits(self, match: re.Match[str]) -> bool:
        before = self._buffer[: match.start()].rstrip()[-1:]
        after = self._buffer[match.end() :].lstrip()[:1]
        return before.isdigit() and (after.isdigit() or not after)

    def _is_not_end(self, match: re.Match[str]) -> bool:
        """Whether the full stop belongs to an abbreviation, an initial, an ordinal or a digit group."""
        if match.group() != ".":
            return False
        word = _WORD_BEFORE.search(self._buffer[: match.start()])
        if word is None:
            return False
        text = word.group(1)
        following = self._buffer[match.end() :].lstrip()[:1]
        if text.lower() in _ABBREVIATIONS or (len(text) == 1 and text.isupper() and text.isalpha()):
            return True
        if text[-1].isdigit():
            # "am 3. Mai", "2. Stock", "91. 123": wait for the next character before deciding.
            return (
                not following
                or following.isdigit()
                or following.islower()
                or (self._ordinals and len(text) <= 2 and text.isdigit())
            )
        return False
