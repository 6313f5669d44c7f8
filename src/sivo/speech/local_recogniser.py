"""Recognition of one utterance by pocketsphinx with an agent's grammar, and rejection of what does not fit it.

Three searches hear the same audio: the strict grammar, the n-gram of phrases and everyday sentences, and a free loop
over phones. The phone loop says how well *any* sound sequence could explain the audio; how much worse the best wording
does, per second of speech, is the measure of fit. Pronunciations come from the model's own dictionary, cut down to the
words of the grammar: with 200 in place of 130,000 words a search is made in 5 ms instead of 2 s.
"""

from __future__ import annotations

import math
import tempfile
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pocketsphinx import Config, Decoder, get_model_path
from pocketsphinx.lm import ArpaBoLM

from sivo.speech import grammar
from sivo.speech.grammar import Grammar
from sivo.speech.local_audio import Samples, to_pcm16

#: The bundled acoustic model hears 16 kHz; a decoder opened at 8 kHz does not start with it.
RATE = 16000
_FRAME = RATE // 100
#: Speech is brought to this level (RMS at 16-bit scale) so that the stored channel mean below fits every caller.
_LEVEL = 3000.0
#: Mean cepstrum of levelled telephone speech, measured over voices; estimating it from one "yes" alone mishears it.
_CHANNEL = "34.67,21.07,-22.16,41.86,-15.29,3.92,9.06,-16.09,10.04,-10.98,7.93,2.75,-2.25"
#: Worst fit that is still taken as speech of the grammar: natural logarithm of the likelihood ratio, times 1000, per
#: second of speech and half a second more (so that one word is not judged by its two hardest frames).
_WORST_FIT = 110.0
#: The strict grammar has nothing but its phrases to explain a sound with, so it must fit better.
_WORST_STRICT_FIT = 65.0
_FIT_SECONDS = 0.5
#: A sentence of the strict grammar that fits so much better than free phones needs no second opinion.
_CLEAR_FIT = -100.0
#: Up to so many 10 ms frames of speech only short answers are searched first.
_BRIEF_FRAMES = 60
#: Speech goes up and down by 2.7 dB or more from frame to frame (measured over voices); noise and tones by less than 1.
_STEADY_DB = 1.5
#: Share of the speech that the words must cover.
_COVERAGE = 0.7
_KEPT = 16


@dataclass(frozen=True)
class Heard:
    """What was recognised. ``text`` is empty when nothing fitted; the rest says why, for measurements."""

    text: str
    fit: float
    strict: str
    strict_fit: float
    free: str
    free_fit: float
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Result:
    text: str
    likelihood: float
    coverage: float


class Recogniser:
    """Keeps the dictionary and the decoders of the last grammars. Not thread-safe; one per process."""

    def __init__(self) -> None:
        self._model = Path(get_model_path("en-us"))
        self._pronunciations = _read_dictionary(self._model / "cmudict-en-us.dict")
        self._ready: OrderedDict[str, tuple[Grammar, Decoder]] = OrderedDict()

    def knows(self, word: str) -> bool:
        """Whether the dictionary can pronounce ``word``."""
        return word in self._pronunciations

    def hear(self, samples: Samples, prompt: str) -> Heard:
        """Recognise ``samples`` (16 kHz) with the phrases in ``prompt``, one a line."""
        phrases, decoder = self._prepared(prompt)
        speech = _speech_frames(samples)
        if speech.sum() < 8 or _steady(samples, speech):  # 80 ms: no word is shorter
            return Heard("", math.inf, "", math.inf, "", math.inf, phrases.dropped)
        levelled = to_pcm16(samples * (_LEVEL / _level(samples, speech)))
        loop = _search(decoder, "phones", levelled, speech)
        if speech.sum() <= _BRIEF_FRAMES:
            brief = _search(decoder, "brief", levelled, speech)
            fit = _fit(brief, loop, speech)
            if fit <= _WORST_FIT:
                text = "" if brief.text in grammar.HESITATIONS else brief.text
                return Heard(text, fit, brief.text, fit, "", math.inf, phrases.dropped)
        strict = _search(decoder, "strict", levelled, speech)
        strict_text = _whole_sentence(phrases, strict.text)
        strict_fit = _fit(strict, loop, speech) if strict_text else math.inf
        if strict_fit <= _CLEAR_FIT:
            return Heard(strict_text, strict_fit, strict_text, strict_fit, "", math.inf, phrases.dropped)
        free = _search(decoder, "free", levelled, speech)
        free_fit = _fit(free, loop, speech)
        take_strict = strict_fit <= min(free_fit, _WORST_STRICT_FIT)
        text, fit = (strict_text, strict_fit) if take_strict else (free.text, free_fit)
        return Heard(
            text if fit <= _WORST_FIT else "", fit, strict_text, strict_fit, free.text, free_fit, phrases.dropped
        )

    def _prepared(self, prompt: str) -> tuple[Grammar, Decoder]:
        name = grammar.fingerprint(prompt)
        if name not in self._ready:
            phrases = grammar.build(prompt, self.knows)
            self._ready[name] = (phrases, self._decoder(phrases))
            if len(self._ready) > _KEPT:
                self._ready.popitem(last=False)
        self._ready.move_to_end(name)
        return self._ready[name]

    def _decoder(self, phrases: Grammar) -> Decoder:
        with tempfile.TemporaryDirectory(prefix="sivo-speech-") as folder:
            dictionary, counts = Path(folder, "words.dict"), Path(folder, "free.lm")
            with dictionary.open("w", encoding="ascii") as out:
                for word in sorted(phrases.words):
                    for number, phones in enumerate(self._pronunciations.get(word, ()), 1):
                        out.write(f"{word if number == 1 else f'{word}({number})'} {phones}\n")
            decoder = Decoder(Config(hmm=str(self._model / "en-us"), dict=str(dictionary), lm=None, loglevel="FATAL"))
            decoder.add_allphone_file("phones", str(self._model / "en-us-phone.lm.bin"))
            decoder.add_jsgf_string("brief", phrases.brief_jsgf)
            decoder.add_jsgf_string("strict", phrases.jsgf)
            model = ArpaBoLM(text="\n".join(f"<s> {sentence} </s>" for sentence in phrases.sentences))
            model.compute()
            model.write_file(str(counts))
            decoder.add_lm_file("free", str(counts))
        return decoder


def _read_dictionary(path: Path) -> dict[str, list[str]]:
    entries: dict[str, list[str]] = {}
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            word, _, phones = line.partition(" ")
            entries.setdefault(word.split("(", 1)[0], []).append(phones.strip())
    return entries


def _energies(samples: Samples) -> Samples:
    frames = samples[: len(samples) // _FRAME * _FRAME].reshape(-1, _FRAME)
    return np.sqrt((frames**2).mean(axis=1)) if len(frames) else np.zeros(0, np.float32)


def _speech_frames(samples: Samples) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which 10 ms frames are within 20 dB of the loudest one (and not mere line noise)."""
    energies = _energies(samples)
    loudest = float(energies.max()) if len(energies) else 0.0
    return energies > max(0.1 * loudest, 30.0)


def _steady(samples: Samples, speech: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> bool:
    return float(np.std(20 * np.log10(_energies(samples)[speech] + 1))) < _STEADY_DB


def _level(samples: Samples, speech: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> float:
    return float(np.sqrt((_energies(samples)[speech] ** 2).mean()))


def _search(decoder: Decoder, name: str, audio: bytes, speech: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> _Result:
    decoder.activate_search(name)
    decoder.set_cmn(_CHANNEL)
    decoder.start_utt()
    decoder.process_raw(audio)
    decoder.end_utt()
    best = decoder.hyp()
    if best is None or not best.hypstr:
        return _Result("", -math.inf, 0.0)
    covered = np.zeros_like(speech)
    for part in decoder.seg():
        if part.word[0] not in "<[+":
            covered[part.start_frame : part.end_frame + 1] = True
    return _Result(best.hypstr, math.log(best.score), float((covered & speech).sum() / speech.sum()))


def _whole_sentence(phrases: Grammar, text: str) -> str:
    """``text``, or without its last word: a breath after the end is often heard as the start of one word more."""
    if phrases.complete(text):
        return text
    shorter = text.rpartition(" ")[0]
    return shorter if phrases.complete(shorter) else ""


def _fit(result: _Result, loop: _Result, speech: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> float:
    """How much worse than the phone loop, per second of speech; infinite when words leave speech unexplained."""
    if not result.text or result.coverage < _COVERAGE:
        return math.inf
    return 1000.0 * (loop.likelihood - result.likelihood) / (_FIT_SECONDS + float(speech.sum()) / 100)
