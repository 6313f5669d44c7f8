"""Text to speech by espeak-ng, in a process of its own: the library is GPL-3 and is never loaded by the core.

Requests and answers are length-framed msgpack on standard input and output. The library keeps one global state, so one
request is synthesised at a time; a ten-second sentence takes about 20 ms.
"""

from __future__ import annotations

import ctypes
from typing import Any

import espeakng_loader
import numpy as np

from sivo.speech.local_audio import Resampler, to_pcm16
from sivo.speech.local_frames import ChildChannel

#: What the OpenAI wire protocol calls ``pcm``: 24 kHz, 16 bit, little-endian, mono.
RATE = 24000

# speak_lib.h of espeak-ng 1.52
_SYNCHRONOUS = 2
_BUFFER_MS = 60
_CHARS_UTF8 = 1
_RATE_PARAMETER = 1
_WORDS_PER_MINUTE = 165


class _Voice(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("languages", ctypes.POINTER(ctypes.c_char)),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("xx1", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    ]


class _Id(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    ]


_END_OF_EVENTS, _WORD_EVENT = 0, 1

_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class Espeak:
    """The library, initialised once."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        data = espeakng_loader.get_data_path().encode()
        self._source_rate = int(self._library.espeak_Initialize(_SYNCHRONOUS, _BUFFER_MS, data, 0))
        if self._source_rate <= 0:
            raise RuntimeError("espeak-ng did not start")
        self._callback = _Callback(self._take)
        self._library.espeak_SetSynthCallback(self._callback)
        self._library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
        self._sink: Any = None
        #: Place in the text and time in ms of every word of the last request.
        self.words: list[tuple[int, int]] = []

    def voices(self) -> tuple[list[str], list[str]]:
        """Languages ("en-us") and variants ("f3") that may be joined with a plus sign."""
        return sorted(self._listed(None)), sorted(self._listed(_Voice(languages=_bytes(b"variant"))))

    def speak(self, text: str, voice: str, speed: float, sink: Any) -> bool:
        """Synthesise ``text`` and give ``sink`` 24 kHz PCM as it is made; False when there is no such voice."""
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            return False
        self._library.espeak_SetParameter(_RATE_PARAMETER, round(_WORDS_PER_MINUTE * speed), 0)
        self.words.clear()
        converter = Resampler(self._source_rate, RATE)
        self._sink = lambda samples: sink(to_pcm16(converter.feed(samples)))
        data = text.encode()
        self._library.espeak_Synth(data, len(data) + 1, 0, 0, 0, _CHARS_UTF8, None, None)
        self._library.espeak_Synchronize()
        sink(to_pcm16(converter.flush()))
        self._sink = None
        return True

    def _take(self, samples: Any, count: int, events: Any) -> int:
        index = 0
        while events[index].type != _END_OF_EVENTS:
            if events[index].type == _WORD_EVENT:
                self.words.append((events[index].text_position - 1, events[index].audio_position))
            index += 1
        if samples and count:
            self._sink(np.ctypeslib.as_array(samples, (count,)).astype(np.float32))
        return 0

    def _listed(self, like: _Voice | None) -> list[str]:
        voices = self._library.espeak_ListVoices(ctypes.byref(like) if like is not None else None)
        found, index = [], 0
        while voices[index]:
            voice = voices[index].contents
            if like is None:
                found.append(ctypes.string_at(ctypes.addressof(voice.languages.contents) + 1).decode().lower())
            else:
                found.append(voice.identifier.decode().rpartition("/")[2])
            index += 1
        return found


def _bytes(text: bytes) -> Any:
    return ctypes.cast(ctypes.create_string_buffer(text), ctypes.POINTER(ctypes.c_char))


def main() -> None:
    """Answer ``{"voices": true}`` and ``{"text", "voice", "speed"}`` (with ``words``: also where they begin) until the
    parent closes the pipe."""
    channel = ChildChannel()
    engine = Espeak()
    languages, variants = engine.voices()
    while (request := channel.read()) is not None:
        if request.get("voices"):
            channel.write({"done": True, "languages": languages, "variants": variants})
            continue
        known = engine.speak(
            request["text"],
            request["voice"],
            request["speed"],
            lambda pcm: channel.write({"pcm": pcm}) if pcm else None,
        )
        words = {"words": engine.words} if request.get("words") else {}
        channel.write({"done": True, "known": known, **words})


if __name__ == "__main__":
    main()
