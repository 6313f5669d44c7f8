"""Makes a Whisper model of no size in CTranslate2 format: the true architecture, random weights, a true tokenizer file.

    build/whisper-venv/bin/python tests/long/whisper_model.py FOLDER

What it hears is noise; it proves that loading, decoding and process work, not that anything is understood.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from ctranslate2.specs import common_spec, whisper_spec
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

DEPTH, HEADS, INNER, MELS = 16, 2, 32, 80
SPECIAL = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|translate|>", "<|transcribe|>", "<|startoflm|>"]
SPECIAL += ["<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]


def main(folder: Path) -> None:
    """Write the model."""
    folder.mkdir(parents=True, exist_ok=True)
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*letters, *SPECIAL, *(f"<|{step * 0.02:.2f}|>" for step in range(1501))]
    rng = np.random.default_rng(7)
    spec = whisper_spec.WhisperSpec(1, HEADS, 1, HEADS)
    fill(spec, rng, len(tokens))
    begin = tokens.index("<|endoftext|>")
    spec.config.suppress_ids = []
    spec.config.suppress_ids_begin = [begin]
    spec.config.lang_ids = [tokens.index("<|en|>")]
    spec.config.alignment_heads = [(0, 0)]
    spec.register_vocabulary(tokens)
    spec.validate()
    spec.save(str(folder))
    tokenizer = Tokenizer(models.BPE(vocab={token: place for place, token in enumerate(tokens)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(tokens[len(letters) :])
    tokenizer.save(str(folder / "tokenizer.json"))
    print(json.dumps({"tokens": len(tokens), "bytes": (folder / "model.bin").stat().st_size}))


def fill(spec: whisper_spec.WhisperSpec, rng: np.random.Generator, words: int) -> None:
    """Random weights in every place of the architecture."""

    def some(*shape: int) -> np.ndarray:
        return rng.normal(0, 0.1, shape).astype(np.float32)

    def norm(one: common_spec.LayerNormSpec) -> None:
        one.gamma, one.beta = np.ones(DEPTH, np.float32), np.zeros(DEPTH, np.float32)

    def linear(one: common_spec.LinearSpec, out: int, into: int) -> None:
        one.weight, one.bias = some(out, into), some(out)

    def attention(one: object, own: bool) -> None:
        norm(one.layer_norm)  # type: ignore[attr-defined]
        widths = (3 * DEPTH, DEPTH) if own else (DEPTH, 2 * DEPTH, DEPTH)
        for place, width in zip(one.linear, widths, strict=True):  # type: ignore[attr-defined]
            linear(place, width, DEPTH)

    def forward(one: object) -> None:
        norm(one.layer_norm)  # type: ignore[attr-defined]
        linear(one.linear_0, INNER, DEPTH)  # type: ignore[attr-defined]
        linear(one.linear_1, DEPTH, INNER)  # type: ignore[attr-defined]

    encoder, decoder = spec.encoder, spec.decoder
    for conv, into in ((encoder.conv1, MELS), (encoder.conv2, DEPTH)):
        conv.weight, conv.bias = some(DEPTH, into, 3), some(DEPTH)
    encoder.position_encodings.encodings = some(1500, DEPTH)
    decoder.position_encodings.encodings = some(448, DEPTH)
    decoder.embeddings.weight = some(words, DEPTH)
    decoder.projection.weight = decoder.embeddings.weight
    decoder.scale_embeddings = False
    for side in (encoder, decoder):
        norm(side.layer_norm)
        for layer in side.layer:
            attention(layer.self_attention, own=True)
            forward(layer.ffn)
    attention(decoder.layer[0].attention, own=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
