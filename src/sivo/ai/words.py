"""Words of the caller: which mean nothing but "go on", which sentence is not finished, what is an echo."""

from __future__ import annotations

import re
import unicodedata

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*", re.UNICODE)

#: Sounds and words with which a listener says "I am listening"; they never interrupt the agent.
_BACKCHANNELS = {
    "*": "m mm mmm mhm mhmm hmm hm mmhmm mm-hmm mm-hm uh-huh uhhuh uhuh uh um ah aha aah oh eh ehm ok okay okey",
    "en": "yeah yep yup right sure alright i see got it go on",
    "es": "ya vale claro ajá aja bien bueno de acuerdo entiendo",
    "de": "ja genau gut klar achso ach so verstehe",
    "fr": "ouais d'accord accord bien voilà voila je vois",
    "it": "già gia certo bene capisco va",
    "pt": "tá ta certo claro bem entendo pois",
}
#: Words after which a caller goes on: conjunctions, articles, prepositions, possessives, fillers.
_UNFINISHED = {
    "*": "uh um eh ehm hmm äh ähm euh hum",
    "en": "and or but because so the a an my your his her our their to of for with from at in on is are was i if",
    "es": "y o pero porque que el la los las un una mi tu su de del con para por en a al es si como este",
    "de": "und oder aber weil dass der die das ein eine einen mein meine dein ihr zu von mit für bei in im auf ist",
    "fr": "et ou mais parce que le la les un une mon ma mes ton de du des avec pour par en à au est si alors",
    "it": "e o ma perché che il lo la i gli le un una mio mia di del con per in a al è se allora",
    "pt": "e ou mas porque que o a os as um uma meu minha de do da com para por em é se então",
}
#: Whole answers that need no waiting.
_COMPLETE = {
    "*": "ok okay no stop",
    "en": "yes yeah yep nope correct exactly please thanks goodbye bye",
    "es": "sí si vale claro exacto correcto gracias adiós",
    "de": "ja nein genau richtig danke tschüss",
    "fr": "oui non exact merci stop",
    "it": "sì si esatto grazie",
    "pt": "sim não nao exato obrigado obrigada",
}


def words(text: str) -> list[str]:
    """Lower-case words of ``text`` without punctuation."""
    return _WORD.findall(unicodedata.normalize("NFC", text).lower())


def _set(table: dict[str, str], language: str) -> frozenset[str]:
    return frozenset(table["*"].split()) | frozenset(table.get(language[:2].lower(), "").split())


def is_backchannel(text: str, language: str) -> bool:
    """True when every word only says "go on". False for empty text."""
    known = _set(_BACKCHANNELS, language)
    found = words(text)
    return bool(found) and all(word in known for word in found)


def is_complete(text: str, language: str) -> bool:
    """True for sentence-final punctuation, a bare yes or no, or a bare number."""
    stripped = text.rstrip()
    if stripped.endswith(("?", "!", "。")) or (stripped.endswith(".") and not stripped.endswith("...")):
        return True
    found = words(text)
    known = _set(_COMPLETE, language)
    return 0 < len(found) <= 2 and all(word in known for word in found)


def is_unfinished(text: str, language: str) -> bool:
    """True when the last word shows that more will come, or the last digit group is a single digit of several."""
    found = words(text)
    if not found or text.rstrip().endswith("?"):
        return False
    if found[-1] in _set(_UNFINISHED, language):
        return True
    return len(found) > 1 and found[-1].isdigit() and len(found[-1]) == 1 and found[-2].isdigit()


def echoes(heard: str, said: str) -> bool:
    """True when at least 60 % of the words heard are among the last words the agent said (voice research 6.5)."""
    found = words(heard)
    if not found:
        return False
    tail = words(said)[-max(12, 2 * len(found)) :]
    remaining = list(tail)
    matched = 0
    for word in found:
        if word in remaining:
            remaining.remove(word)
            matched += 1
    return matched >= 0.6 * len(found)
