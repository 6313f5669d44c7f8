"""Which of an agent's intents a sentence means: words in common, weighed by how telling they are.

Pure and deterministic; works for any language that puts spaces between words.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Any

import msgspec

#: Score from which an intent counts as meant.
MEANT = 0.55
#: Two words are taken as the same from this similarity on ("order" and "orders", "shipped" and "shipping").
_ALIKE = 0.8
#: Words of the same meaning that callers use for each other.
_SAME = {
    **dict.fromkeys(("yeah", "yep", "yup", "sure", "okay", "ok", "correct", "absolutely", "right"), "yes"),
    **dict.fromkeys(("nope", "nah"), "no"),
    **dict.fromkeys(("bye", "byebye"), "goodbye"),
    **dict.fromkeys(("thanks", "thx"), "thank"),
    **dict.fromkeys(("someone", "somebody", "anybody", "anyone", "person", "representative", "agent"), "human"),
    **dict.fromkeys(("speak", "talking", "speaking"), "talk"),
    **dict.fromkeys(("parcel", "delivery", "shipment"), "package"),
}
#: Words that say little; they count a tenth.
# fmt: off
_SMALL = frozenset({
    "i", "you", "me", "my", "your", "we", "it", "a", "an", "the", "to", "of", "in", "on", "for", "at", "by", "with",
    "is", "are", "be", "do", "does", "did", "have", "has", "had", "can", "could", "would", "will", "like", "want",
    "and", "or", "but", "so", "this", "that", "please", "about", "let", "tell", "know", "just", "well", "now", "then",
    "hello", "hi", "thank", "am", "need", "what", "when", "where", "how",
    "el", "la", "los", "las", "un", "una", "de", "del", "mi", "que", "por", "favor", "quiero", "quisiera",
    "der", "die", "das", "ein", "eine", "ich", "mein", "meine", "bitte", "zu", "le", "les", "je", "mon", "ma", "il",
    "lo", "io", "mio", "mia", "o", "os", "as", "eu", "meu", "minha",
})
# fmt: on
_SMALL_WEIGHT = 0.1
_YES, _NO = frozenset({"yes", "si", "ja", "oui", "sim"}), frozenset({"no", "nein", "non", "nao"})
#: Telling words alone: at least this part of the weight of a word that only one intent has, this share of all that was
#: said, and so much at most for the next intent.
_TELLING, _SHARE, _RUNNER_UP = 0.9, 0.3, 0.5


class Intent(msgspec.Struct, frozen=True):
    """One intent as it stands in the system message."""

    name: str
    phrases: tuple[str, ...] = ()
    reply: str = ""
    action: str = "continue"
    after: tuple[str, ...] = ()
    variables: dict[str, Any] = {}


def words_of(text: str) -> list[str]:
    """Lower-case words without accents and punctuation, similar ones brought together."""
    plain = unicodedata.normalize("NFKD", text.lower().replace("’", "'"))
    plain = "".join(sign for sign in plain if not unicodedata.combining(sign))
    plain = plain.replace("i'd", "i would").replace("that's", "that is").replace("where's", "where is")
    return [_SAME.get(word, word) for word in re.findall(r"[a-z0-9]+", plain)]


class Matcher:
    """Weights are learned from the phrases of the intents: a word that many intents share tells little."""

    def __init__(self, intents: Sequence[Intent]) -> None:
        self._intents = intents
        self._phrases = {intent.name: [words_of(phrase) for phrase in intent.phrases] for intent in intents}
        spread = Counter(
            word for phrases in self._phrases.values() for word in {word for phrase in phrases for word in phrase}
        )
        self._weights = {word: math.log(1 + len(intents) / count) for word, count in spread.items()}
        self._unknown = math.log(1 + max(1, len(intents)))

    def best(self, text: str, last: str = "") -> Intent | None:
        """The intent that ``text`` means; ``last`` is the previous one, which opens intents that come ``after`` it."""
        said = words_of(text)
        best: tuple[float, Intent] | None = None
        for intent in self._intents:
            if intent.after and last not in intent.after:
                continue
            score = max((self._score(said, phrase) for phrase in self._phrases[intent.name]), default=0.0)
            # An answer to what was just asked comes before the same words with no question before them.
            score += 0.05 if intent.after and score else 0.0
            if score >= MEANT and (best is None or score > best[0]):
                best = (score, intent)
        return best[1] if best else self._by_telling_words(said, last)

    def _by_telling_words(self, said: list[str], last: str) -> Intent | None:
        """For wordings that are like no phrase: the intent whose own words were said, if there is just one."""
        content = {word for word in said if word not in _SMALL}
        total = sum(self._weight(word) for word in content)
        evidence = []
        for intent in self._intents:
            if not intent.after or last in intent.after:
                vocabulary = {word for phrase in self._phrases[intent.name] for word in phrase}
                evidence.append((sum(self._weight(word) for word in content & vocabulary), intent))
        evidence.sort(key=lambda pair: -pair[0])
        if not evidence or evidence[0][0] < max(_TELLING * self._unknown, _SHARE * total):
            return None
        runner_up = evidence[1][0] if len(evidence) > 1 else 0.0
        return evidence[0][1] if runner_up <= _RUNNER_UP * evidence[0][0] else None

    def _score(self, said: list[str], phrase: list[str]) -> float:
        if not said or not phrase:
            return 0.0
        if said == phrase:
            return 2.0
        if (_NO & set(said) and _YES & set(phrase)) or (_YES & set(said) and _NO & set(phrase)):
            return 0.0
        shared_phrase = sum(self._weight(word) * _likeness(word, said) for word in phrase)
        shared_said = sum(self._weight(word) * _likeness(word, phrase) for word in said)
        recall = shared_phrase / sum(self._weight(word) for word in phrase)
        precision = shared_said / sum(self._weight(word) for word in said)
        # Callers say more than a phrase holds, so what is missing from the phrase weighs more than what is added to it.
        return 0.6 * recall + 0.4 * precision if recall > 0.5 else 0.0

    def _weight(self, word: str) -> float:
        weight = self._weights.get(word, self._unknown)
        return weight * _SMALL_WEIGHT if word in _SMALL else weight


def _likeness(word: str, others: list[str]) -> float:
    if word in others:
        return 1.0
    if len(word) < 4:
        return 0.0
    best = max((SequenceMatcher(None, word, other).ratio() for other in others if len(other) > 3), default=0.0)
    return best if best >= _ALIKE else 0.0
