"""How well a person's own words are understood: paraphrases in several voices through the real transcription endpoint.

    python -m bench.paraphrases [--voices slt,awb] [--prepared]

For each intent of the demo's agent, sentences that stand in none of its sample phrases are spoken by flite (installed
with the tests' tools), narrowed to the telephone band with G.711 mu-law, sent to a running speech role of its own, and
the text it answers goes through its rules model in the same state of the conversation. Printed per intent and voice:
texts recognised word for word, and intents understood. ``--prepared`` speaks the sample phrases themselves instead.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import wave
from importlib.resources import files
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

from sivo.base.settings import Settings
from sivo.demo.caller_audio import decode, encode
from sivo.speech import role
from sivo.speech.local_audio import read_wav, resample

PORT = int(os.environ.get("SIVO_BENCH_SPEECH_PORT", "35095"))
AGENT = json.loads(files("sivo.demo").joinpath("agent.json").read_text())
#: intent -> (the intent before it, five paraphrases). Written before they were tried, and not changed since.
PARAPHRASES: dict[str, tuple[str, list[str]]] = {
    "order_status": (
        "",
        [
            "hello I want to ask about an order I made",
            "do you know what happened to my order",
            "I am still waiting for my package",
            "can you look up my last order for me",
            "did you send my order already",
        ],
    ),
    "delivery_time": (
        "order_status",
        [
            "what time will it get here",
            "when can I expect my package",
            "on which day does it come",
            "how many days does the delivery take",
            "will it arrive tomorrow",
        ],
    ),
    "confirm_email": (
        "order_status",
        ["yeah", "yes I would like that", "okay please send it", "yes do that please", "sure thank you"],
    ),
    "decline_email": (
        "order_status",
        ["no I do not need that", "no that is fine", "nope", "please do not", "no need for that thanks"],
    ),
    "goodbye": (
        "confirm_email",
        [
            "okay bye then",
            "thank you bye",
            "no that was everything",
            "that will be all goodbye",
            "have a nice day goodbye",
        ],
    ),
    "transfer": (
        "",
        [
            "can I speak with a real person",
            "let me talk to your manager",
            "give me a human please",
            "I would rather talk to somebody",
            "could you put me through to an agent",
        ],
    ),
}
#: Intents with the same effect in the same place; either is right.
_SAME = {"nothing_else": "goodbye"}


def spoken(text: str, voice: str) -> bytes:
    """``text`` as 8 kHz WAV after a G.711 line, with the silences that voice activity detection leaves around it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "said.wav")
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(path)], check=True)
        samples, rate = read_wav(path.read_bytes())
    narrow = resample(samples, rate, 8000)
    line = np.concatenate([np.zeros(1600), narrow * (12000 / np.abs(narrow).max()), np.zeros(2000)])
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(decode(encode(line.astype(np.int16))).astype("<i2").tobytes())
    return buffer.getvalue()


async def transcribe(session: aiohttp.ClientSession, audio: bytes) -> str:
    """What the endpoint hears with the agent's phrases."""
    form = aiohttp.FormData()
    form.add_field("file", audio, filename="said.wav", content_type="audio/wav")
    form.add_field("model", "local")
    form.add_field("prompt", "\n".join(phrase for intent in AGENT["intents"] for phrase in intent["phrases"]))
    async with session.post(f"http://127.0.0.1:{PORT}/v1/audio/transcriptions", data=form) as answer:
        answer.raise_for_status()
        return str((await answer.json())["text"])


async def understood(session: aiohttp.ClientSession, text: str, before: str) -> str:
    """The intent that the rules model takes ``text`` for, after intent ``before``."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": "INTENTS_JSON:\n" + json.dumps(AGENT["intents"])}]
    if before:
        turn = json.dumps({"response": "", "action": "continue", "variables": {"_intent": before}})
        messages += [{"role": "user", "content": "x"}, {"role": "assistant", "content": turn}]
    messages.append({"role": "user", "content": text})
    body = {"model": "local", "messages": messages}
    async with session.post(f"http://127.0.0.1:{PORT}/v1/chat/completions", json=body) as answer:
        content = (await answer.json())["choices"][0]["message"]["content"]
    name = json.loads(content)["variables"]["_intent"]
    return _SAME.get(name, name)


def _words(text: str) -> str:
    return " ".join(re.findall(r"[a-z']+", text.lower()))


async def measure(voices: list[str], sentences: dict[str, tuple[str, list[str]]]) -> None:
    """Try everything and print the table, then every sentence that was not understood."""
    failures: list[str] = []
    print(f"{'intent':16} {'voice':6} {'word for word':>14} {'understood':>11} {'rejected':>9} {'wrong intent':>13}")
    totals = {voice: np.zeros(5, int) for voice in voices}
    async with aiohttp.ClientSession() as session:
        for intent, (before, texts) in sentences.items():
            for voice in voices:
                row = np.zeros(5, int)
                for text in texts:
                    heard = await transcribe(session, spoken(text, voice))
                    meant = await understood(session, heard, before) if heard else ""
                    right = meant == intent
                    wrong = bool(heard) and not right and not meant.startswith("_")
                    row += [_words(text) == heard, right, not heard, wrong, 1]
                    if not right:
                        failures.append(f"{voice:5} {intent:14} {text!r} heard as {heard!r} -> {meant or 'rejected'}")
                totals[voice] += row
                _print_row(intent, voice, row)
    for voice, row in totals.items():
        _print_row("all", voice, row)
    print("\nnot understood:", *failures, sep="\n  ")


def _print_row(intent: str, voice: str, row: np.ndarray) -> None:
    exact, right, rejected, wrong, total = row
    print(
        f"{intent:16} {voice:6} {f'{exact}/{total}':>14} {f'{right}/{total}':>11} {rejected:>9} {wrong:>13}", flush=True
    )


async def main() -> None:
    """Run the measurement against a speech role of its own."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--voices", default="slt,awb")
    parser.add_argument("--prepared", action="store_true", help="speak the agent's own sample phrases")
    options = parser.parse_args()
    sentences = PARAPHRASES
    if options.prepared:
        own = {intent["name"]: intent["phrases"] for intent in AGENT["intents"]}
        sentences = {name: (before, own[name]) for name, (before, _) in PARAPHRASES.items()}
    stop = asyncio.Event()
    serving = asyncio.create_task(role.run(Settings(speech_port=PORT), stop))
    try:
        await asyncio.sleep(0)
        async with aiohttp.ClientSession() as session:
            while not serving.done():
                try:
                    async with session.get(f"http://127.0.0.1:{PORT}/healthz"):
                        break
                except aiohttp.ClientError:
                    await asyncio.sleep(0.2)
        await measure(options.voices.split(","), sentences)
    finally:
        stop.set()
        await serving


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
