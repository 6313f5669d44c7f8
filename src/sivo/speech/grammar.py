"""From an agent's sample phrases to what the local recogniser searches in.

Two searches are made of the same phrases: a strict JSGF grammar (phrases with optional politeness around them, yes, no,
digits), good at short answers, and the sentences of a small n-gram model, in which the phrases are mixed with everyday
telephone sentences, so that other wordings of the same wish are heard as what they are, and speech that belongs to no
phrase has other words to land in.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

#: May stand before any phrase.
_OPENERS = ("yes", "no", "okay", "hello", "well", "so", "sorry", "please")
#: May stand before a phrase that starts with a verb ("track my order").
_REQUESTS = (
    *("can i", "could i", "may i", "i want to", "i would like to", "i'd like to", "i need to", "i have to"),
    *("can you", "could you", "would you", "please", "can you please", "could you please", "let me", "help me"),
)
_CLOSERS = ("please", "thank you", "thanks", "now", "then")
#: Answers that every conversation needs, whatever its intents say.
_ANSWERS = ("yes", "yeah", "yep", "no", "nope", "okay", "hello")
#: Sounds that are no answer; hearing one of them is hearing nothing.
HESITATIONS = ("um", "uh", "hmm", "mm")
_DIGITS = ("zero", "oh", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_DIGIT_WORDS = ("zero", *_DIGITS[2:])
#: Words that no request may stand before: "can i where is my order" is nothing that people say.
# fmt: off
_NOT_A_VERB = frozenset({
    "i", "my", "the", "a", "an", "is", "are", "was", "has", "have", "had", "do", "does",
    "did", "can", "could", "may", "would", "will", "what", "where", "when", "who", "why", "how", "yes", "yeah",
    "no", "nope", "not", "okay", "hello", "hi", "hey", "sure", "sorry", "please", "thank", "thanks", "bye",
    "goodbye", "that", "this", "it", "its", "there",
})
# fmt: on
#: How often a phrase counts for one everyday sentence in the n-gram model.
_PHRASE_WEIGHT = 3
_BRIEF_WORDS = 3
_REQUEST_WORDS = 3
MAX_PHRASES = 500
MAX_WORDS = 20


def words_of(text: str) -> list[str]:
    """``text`` as the dictionary spells it: lower case, no punctuation, digits one by one as words."""
    spaced = re.sub(r"[0-9]", lambda digit: f" {_DIGIT_WORDS[int(digit[0])]} ", text.lower().replace("’", "'"))
    return [word for word in (part.strip("'") for part in re.findall(r"[a-z']+", spaced)) if word]


def everyday_sentences() -> list[str]:
    """The built-in telephone sentences."""
    text = importlib.resources.files("sivo.speech").joinpath("everyday_en.txt").read_text("ascii")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


@dataclass(frozen=True)
class Grammar:
    """``phrases`` in dictionary spelling; ``dropped``: phrases with a word that cannot be pronounced."""

    phrases: tuple[str, ...]
    dropped: tuple[str, ...] = ()

    @property
    def _spells_digits(self) -> bool:
        # Digits explain any noise, so they are only listened for when a phrase of the agent has some.
        return any(word in _DIGITS for phrase in self.phrases for word in phrase.split())

    @cached_property
    def brief_jsgf(self) -> str:
        """Short answers only, for audio in which nothing longer fits: phrases of few words, yes and no."""
        brief = [phrase for phrase in self.phrases if len(phrase.split()) <= _BRIEF_WORDS]
        return f"#JSGF V1.0;\ngrammar brief;\npublic <said> = {_either([*_ANSWERS, *HESITATIONS, *brief])};\n"

    @cached_property
    def jsgf(self) -> str:
        """The strict grammar (JSpeech Grammar Format 1.0)."""
        verbs = [phrase for phrase in self.phrases if _starts_with_verb(phrase)]
        others = [phrase for phrase in self.phrases if not _starts_with_verb(phrase)]
        rules = [f"<opener> = {_either(_OPENERS)};", f"<closer> = {_either(_CLOSERS)};"]
        said = [_either(_ANSWERS)]
        if self._spells_digits:
            rules.append(f"<digit> = {_either(_DIGITS)};")
            said.append("<digit> <digit> (<digit>)+")
        if verbs:
            rules += [f"<request> = {_either(_REQUESTS)};", f"<verb> = {_either(verbs)};"]
            said.append("[<opener>] [<request>] <verb> [<closer>]")
        if others:
            rules.append(f"<other> = {_either(others)};")
            said.append("[<opener>] <other> [<closer>]")
        rules.append(f"public <said> = {' | '.join(said)};")
        return "#JSGF V1.0;\ngrammar agent;\n" + "\n".join(rules) + "\n"

    @cached_property
    def _whole(self) -> re.Pattern[str]:
        verbs = _either([phrase for phrase in self.phrases if _starts_with_verb(phrase)] or ["\0"], "|")
        others = _either([phrase for phrase in self.phrases if not _starts_with_verb(phrase)] or ["\0"], "|")
        opener, request, closer = (_either(part, "|") for part in (_OPENERS, _REQUESTS, _CLOSERS))
        digit = _either(_DIGITS if self._spells_digits else ["\0"], "|")
        return re.compile(
            rf"{_either(_ANSWERS, '|')}|{digit}(?: {digit}){{2,}}"
            rf"|(?:{opener} )?(?:(?:{request} )?{verbs}|{others})(?: {closer})?"
        )

    def complete(self, text: str) -> bool:
        """Whether ``text`` is a whole sentence of the strict grammar."""
        return self._whole.fullmatch(text) is not None

    @cached_property
    def sentences(self) -> list[str]:
        """What the n-gram model is counted from."""
        return [*self.phrases] * _PHRASE_WEIGHT + [*_ANSWERS] + everyday_sentences()

    @property
    def words(self) -> set[str]:
        """Every word that either search may give."""
        parts = (
            *self.phrases,
            *_OPENERS,
            *_REQUESTS,
            *_CLOSERS,
            *_ANSWERS,
            *HESITATIONS,
            *_DIGITS,
            *everyday_sentences(),
        )
        return {word for part in parts for word in part.split()}


def build(prompt: str, known: Callable[[str], bool]) -> Grammar:
    """The grammar of ``prompt``, one phrase a line; ``known`` says whether the dictionary has a word.

    A phrase with an unknown word is dropped and named: a grammar cannot hold what cannot be pronounced.
    """
    phrases: dict[str, None] = {}
    dropped: list[str] = []
    for line in prompt.splitlines()[:MAX_PHRASES]:
        words = words_of(line)[:MAX_WORDS]
        if not words:
            continue
        if all(known(word) for word in words):
            phrases[" ".join(words)] = None
        else:
            dropped.append(line.strip())
    return Grammar(tuple(phrases), tuple(dropped))


def fingerprint(prompt: str) -> str:
    """Names the grammar of ``prompt`` in a cache."""
    return hashlib.sha256(prompt.encode()).hexdigest()[:16]


def _starts_with_verb(phrase: str) -> bool:
    words = phrase.split()
    # "nothing else" and "go ahead" are answers; "can i" before them only gives noise more to hide in.
    return len(words) >= _REQUEST_WORDS and words[0].partition("'")[0] not in _NOT_A_VERB


def _either(parts: list[str] | tuple[str, ...], bar: str = " | ") -> str:
    # Longer alternatives first, so that a prefix does not hide them from the regular expression.
    inner = bar.join(sorted(set(parts), key=lambda part: (-len(part), part)))
    return f"(?:{inner})" if bar == "|" else f"({inner})"
