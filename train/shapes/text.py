"""Captions into vectors for `shapes`: a word-level T5 tokenizer and a tiny UMT5 encoder.

The vocabulary is the words of the world's captions; any other word falls back to its letters. Left
out on purpose: pretrained text encoders. The encoder is trained together with the denoiser.
"""

from __future__ import annotations

import string
from typing import Any

from transformers import T5Tokenizer, UMT5Config, UMT5EncoderModel

from data import shapes as world
from train.shapes.config import MAX_TOKENS, Config


def words() -> list[str]:
    """Every word that a caption of the world can hold, in a fixed order."""
    choices = [word for name in world.ATTRIBUTES for word in world.CHOICES[name]]
    return ["a", "moving", "on", "background", *choices]


def tokenizer() -> T5Tokenizer:
    """A T5 tokenizer with one token per word of the world, and letters for the rest."""
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -10.0)]
    whole = [("\u2581" + word, -1.0) for word in words() if word != "a"]
    letters = [(letter, -8.0) for letter in string.ascii_lowercase]
    vocabulary = [*special, ("\u2581", -6.0), ("\u2581a", -1.0), *whole, *letters]
    made = T5Tokenizer(vocab=vocabulary, extra_ids=0)
    made.model_max_length = MAX_TOKENS
    return made


def encoder(config: Config, vocabulary: int) -> UMT5EncoderModel:
    """A fresh encoder, without T5's dropout: it would make sampling differ from run to run."""
    width = config.text_width
    sizes: dict[str, Any] = {
        "vocab_size": vocabulary, "d_model": width, "d_kv": width // 2, "d_ff": 2 * width,
        "num_layers": 2, "num_heads": 2, "dropout_rate": 0.0, "tie_word_embeddings": False,
    }  # fmt: skip
    return UMT5EncoderModel(UMT5Config(**sizes))
