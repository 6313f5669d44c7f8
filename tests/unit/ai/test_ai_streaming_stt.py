"""The turn engine with streaming speech-to-text: core of the client and simulated vendor, on the virtual clock.

The caller's words are tones that the vendor's double has a table for; our VAD is scripted beside them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from timeline import FRAME, Call, Llm, spec

from sivo.ai.engine import effects, events
from sivo.ai.engine.states import State
from sivo.simulators.script import SttScript
from sivo.speech.stt import SttFailed, SttText
from support.tones import silence, speak, table

sys.path.insert(0, str(Path(__file__).parents[1] / "speech"))

from deepgram_line import DeepgramLine
from scribe_line import ScribeLine

HEARD = table("where is my order stop please yes and thanks bye")
LINES: dict[str, type[DeepgramLine]] = {"deepgram": DeepgramLine, "scribe": ScribeLine}
SCRIPT = SttScript(tones=HEARD, final_delay_ms=150, partial_every_ms=60)


class StreamedCall(Call):
    """A :class:`timeline.Call` whose speech-to-text hears real audio."""

    def __init__(self, line: DeepgramLine, *, interruptible: bool = True, **parts: Any) -> None:
        self.line = line
        self._told = 0
        self._audio: dict[int, bytes] = {}
        super().__init__(spec(greeting_interruptible=interruptible), **parts)

    def speaks(self, start: int, words: str) -> float:
        """The caller says ``words`` from ``start`` (a multiple of 20 ms) on; when it ends."""
        pcm16 = speak(words, HEARD)
        for place in range(0, len(pcm16), 320):
            self._audio[start + place // 16] = pcm16[place : place + 320]
        end = start + len(pcm16) // 16 - 60
        self.says(start, end - start)
        return end

    def _hear(self) -> None:
        self.line.play(self._audio.get(int(self.now) - FRAME, silence(FRAME)))
        super()._hear()
        self._tell()

    def _one(self, effect: effects.Effect) -> None:
        match effect:
            case effects.Listen(segment=number, start_ms=start_ms):
                self.line.begin(number, start_ms)
            case effects.Transcribe(segment=number, end_ms=end_ms):
                self.line.finish(number, end_ms)
            case effects.Unlisten(segment=number):
                self.line.core.drop(number)
            case _:
                super()._one(effect)

    def _tell(self) -> None:
        while self._told < len(self.line.results):
            _, result = self.line.results[self._told]
            self._told += 1
            if isinstance(result, SttText):
                self.happen(events.Heard(result.segment, result.text, result.final, result.end_ms))
            elif isinstance(result, SttFailed):
                self.happen(events.HeardFailed(result.segment, result.error.cause, result.error.detail))


def listening(kind: str, **parts: Any) -> StreamedCall:
    """A call whose greeting is over."""
    call = StreamedCall(LINES[kind](SCRIPT), **parts)
    call.run_to(State.LISTENING)
    call.run(-(-call.now // 1000) * 1000 + 1000)
    return call


@pytest.mark.parametrize("kind", LINES)
def test_turns_carry_the_words_and_the_answer_waits_for_the_final_only(kind: str) -> None:
    call = listening(kind)
    ended = call.speaks(int(call.now), "where is my order")
    call.run(ended + 1500)
    first = call.first_frame_after(ended)
    call.run_to(State.LISTENING)
    call.run(call.now + 1000)
    ended = call.speaks(int(call.now) // 20 * 20, "yes please")
    call.run(ended + 6000)
    assert [turn.user_text for turn in call.turns] == ["where is my order", "yes please"]
    assert call.heard == ["where is my order", "yes please"]
    assert call.faults == []
    # 200 stop + 150 final (or 250 hold from the stop) + 200 first token + 120 first byte, and frames of 20 ms between
    assert first - ended <= 200 + 250 + 200 + 120 + 120


@pytest.mark.parametrize("kind", LINES)
def test_an_interim_word_interrupts_before_the_voice_alone_would(kind: str) -> None:
    call = listening(kind, llm=Llm(answers=['{"response": "Your order is on its way and it will be with you soon."}']))
    ended = call.speaks(int(call.now), "where is my order")
    call.run(ended + 2000)
    assert call.engine.state is State.SPEAKING
    start = int(call.now) // 20 * 20
    call.speaks(start, "stop please")
    call.run(start + 2000)
    (interruption,) = call.interruptions
    assert interruption.outcome == "committed"
    assert 160 <= interruption.voiced_ms < 400  # ai.speech_min_ms; a voice without words commits at twice that
    assert call.heard[-1] == "stop please" or call.run(call.now + 3000).heard[-1] == "stop please"


@pytest.mark.parametrize("kind", LINES)
@pytest.mark.parametrize("at_ms", range(0, 2400, 160))
def test_a_line_that_breaks_at_any_moment_of_a_turn_costs_no_word(kind: str, at_ms: int) -> None:
    call = listening(kind)
    start = int(call.now)
    ended = call.speaks(start, "where is my order")
    call.at(start + at_ms, call.line.cut)
    call.run(ended + 2500)
    call.run_to(State.LISTENING)
    call.run(call.now + 1000)
    ended = call.speaks(int(call.now) // 20 * 20, "yes and thanks")
    call.run(ended + 6000)
    assert call.heard == ["where is my order", "yes and thanks"]
    assert [turn.user_text for turn in call.turns] == ["where is my order", "yes and thanks"]


@pytest.mark.parametrize("kind", LINES)
@pytest.mark.parametrize("at_ms", [0, 300, 900, 1100])
def test_a_line_that_falls_silent_costs_time_but_no_word(kind: str, at_ms: int) -> None:
    call = listening(kind)
    start = int(call.now)
    ended = call.speaks(start, "where is my order")

    def deafen() -> None:
        call.line.deaf = True

    call.at(start + at_ms, deafen)
    call.run(ended + 2500)
    assert call.first_frame_after(ended) - ended <= 2500, "dead air"
    call.run(call.now + 6000)
    assert call.heard == ["where is my order"]


@pytest.mark.parametrize("kind", LINES)
def test_words_said_while_nobody_may_interrupt_are_nobody_s(kind: str) -> None:
    call = StreamedCall(LINES[kind](SCRIPT), interruptible=False)
    call.speaks(400, "where is")
    call.run_to(State.LISTENING)
    call.run(call.now + 2000)
    assert call.turns == []
    assert call.heard == []
