"""The multi-context protocol of ElevenLabs on paper: five contexts, late audio, one clock."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from sivo.speech.alignment import Alignment, AlignmentClock, word_ends
from sivo.speech.elevenlabs import language_of, takes_tags
from sivo.speech.elevenlabs_contexts import (
    MAX_CONTEXTS,
    Contexts,
    Failed,
    Final,
    Sound,
    TextToDialogue,
    TextToSpeech,
)


def audio(context: str, size: int = 80, **more: Any) -> str:
    return json.dumps({"contextId": context, "audio": base64.b64encode(b"\x55" * size).decode(), **more})


def final(context: str) -> str:
    return json.dumps({"contextId": context, "isFinal": True})


def test_a_context_is_opened_filled_flushed_and_closed() -> None:
    context, sent = Contexts(TextToSpeech(), "m").speak("Hola, ¿qué tal?")
    assert [json.loads(message) for message in sent] == [
        {"text": " ", "context_id": context, "voice_settings": {}},
        {"text": "Hola, ¿qué tal? ", "context_id": context},
        {"context_id": context, "flush": True},
        {"context_id": context, "close_context": True},
    ]
    context, sent = Contexts(TextToDialogue("rachel"), "m").speak("[laughs] Hola.")
    assert [json.loads(message) for message in sent][:2] == [
        {"context_id": context, "voices": ["rachel"]},
        {"context_id": context, "inputs": [{"text": "[laughs] Hola.", "voice_id": "rachel"}]},
    ]
    assert sum("voices" in message for message in sent) == 1


def test_a_context_counts_until_the_server_says_that_it_is_final() -> None:
    contexts = Contexts(TextToSpeech(), "m")
    opened = [contexts.speak("One.")[0] for _ in range(MAX_CONTEXTS)]
    for context in opened:
        contexts.forget(context)
    assert contexts.full, "closing is asynchronous: they are still open over there"
    with pytest.raises(ValueError, match="five contexts"):
        contexts.speak("Six.")
    assert contexts.take(final(opened[0])) == [], "nobody waits for it"
    assert not contexts.full
    contexts.speak("Six.")
    assert contexts.full


def test_without_text_there_is_no_context() -> None:
    with pytest.raises(ValueError, match="needs text"):
        Contexts(TextToSpeech(), "m").speak("  ")


def test_audio_of_a_forgotten_or_finished_context_is_dropped() -> None:
    contexts = Contexts(TextToSpeech(), "m")
    gone, kept = contexts.speak("Gone.")[0], contexts.speak("Kept.")[0]
    contexts.forget(gone)
    assert contexts.take(audio(gone)) == []
    (sound,) = contexts.take(audio(kept))
    assert isinstance(sound, Sound) and sound.ulaw == b"\x55" * 80
    assert contexts.take(final(kept)) == [Final(kept)]
    assert contexts.take(audio(kept)) == []
    assert contexts.take(audio("unknown")) == []


def test_the_last_audio_may_come_with_the_end() -> None:
    contexts = Contexts(TextToSpeech(), "m")
    context = contexts.speak("One.")[0]
    sound, end = contexts.take(audio(context, isFinal=True))
    assert isinstance(sound, Sound) and end == Final(context)


def test_times_of_messages_are_added_up() -> None:
    contexts = Contexts(TextToSpeech(), "m")
    context = contexts.speak("ab cd")[0]
    times = {"charStartTimesMs": [0, 100], "charDurationsMs": [100, 50]}
    (first,) = contexts.take(audio(context, alignment=times | {"chars": ["a", "b"]}))
    (_,) = contexts.take(audio(context, alignment=None))
    three = {"charStartTimesMs": [0, 20, 60], "charDurationsMs": [20, 40, 40], "chars": [" ", "c", "d"]}
    (last,) = contexts.take(audio(context, alignment=three))
    assert isinstance(first, Sound) and first.alignment == Alignment("ab", (100.0, 150.0))
    assert isinstance(last, Sound) and last.alignment == Alignment("ab cd", (100.0, 150.0, 170.0, 210.0, 250.0))
    assert word_ends("ab cd", last.alignment) == [150.0, 250.0]


@pytest.mark.parametrize("broken", ['{"contextId": "u1", "audio": "%%%"}', "no json", "[1]"])
def test_garbage_is_a_fault_and_no_exception(broken: str) -> None:
    contexts = Contexts(TextToSpeech(), "m")
    contexts.speak("One.")
    (failed,) = contexts.take(broken)
    assert isinstance(failed, Failed) and failed.fault.cause == "garbage"


def test_an_alignment_that_does_not_fit_together_is_garbage() -> None:
    contexts = Contexts(TextToSpeech(), "m")
    context = contexts.speak("One.")[0]
    times = {"charStartTimesMs": [0], "charDurationsMs": [100, 50], "chars": ["a"]}
    (failed,) = contexts.take(audio(context, alignment=times))
    assert isinstance(failed, Failed) and failed.context == context


def test_errors_are_named_for_one_context_or_for_all() -> None:
    contexts = Contexts(TextToSpeech(), "eleven_x")
    context = contexts.speak("One.")[0]
    (one,) = contexts.take(json.dumps({"context_id": context, "error": "voice_not_found", "message": "secret words"}))
    assert isinstance(one, Failed) and one.context == context and one.fault.detail.startswith("voice_not_found: ")
    assert contexts.idle, "it does not count any more"
    (every,) = contexts.take(json.dumps({"error": "quota_exceeded", "message": "m", "code": 1008}))
    assert isinstance(every, Failed) and every.context == "" and "quota" in every.fault.detail
    assert "secret" not in one.fault.detail


def test_words_end_where_their_letters_do_and_tags_are_no_words() -> None:
    clock = AlignmentClock()
    signs = list("[sighs]  Oh no.")
    alignment = clock.add(signs, [10.0 * n for n in range(len(signs))], [10.0] * len(signs))
    assert word_ends("Oh no.", alignment) == [110.0, 150.0]
    assert word_ends("Oh no. And more", alignment) == [110.0, 150.0], "as far as it reaches"
    assert word_ends("Something else", alignment) == [], "it tells of another text"


def test_which_models_take_tags_and_a_language() -> None:
    late = ("eleven_v3", "eleven_v3_conversational", "eleven_v4_turbo")
    early = ("eleven_multilingual_v2", "eleven_flash_v2_5", "eleven_turbo_v2_5", "tts-1", "espeak-ng")
    assert all(takes_tags(model) for model in late) and not any(takes_tags(model) for model in early)
    spoken = {model: language_of(model, "es-MX") for model in (*late, *early)}
    assert {model for model, language in spoken.items() if language == "es"} == {
        *late,
        "eleven_flash_v2_5",
        "eleven_turbo_v2_5",
    }
