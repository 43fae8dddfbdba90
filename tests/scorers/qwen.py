"""Qwen2-VL at a tiny size with seeded random weights, made offline: wiring, not opinions."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLModel,
)

from scorers.nets import videoreward as published
from scorers.nets.qwen2vl import SPECIAL, Reader, Sight
from scorers.nets.stored import frozen
from scorers.versus import Versus
from scorers.videoreward import VideoReward

SIZES: dict[str, Any] = {
    "text_config": {
        "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "bos_token_id": None,
        "eos_token_id": None,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]},
    },
    "vision_config": {"depth": 2, "embed_dim": 32, "hidden_size": 32, "num_heads": 2,
                      "mlp_ratio": 2},
}  # fmt: skip
WORDS = (
    "How good are the pictures of this clip? <|VQ_reward|> And its motion? <|MQ_reward|> "
    "It was made from: {text_prompt} Does it fit? <|TA_reward|>"
)
"""A question with VideoReward's marks; not VideoAlign's words."""
SMALL = Sight(least=56 * 56, most=84 * 84)


@cache
def tokens() -> Tokenizer:
    """Every byte is a token, and so is every mark."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({sign: at for at, sign in enumerate(alphabet)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(mark) for mark in (*SPECIAL, *published.ASKED)])
    return made


def tokenizer() -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(tokenizer_object=tokens())


def config() -> Qwen2VLConfig:
    text = {**SIZES["text_config"], "vocab_size": tokens().get_vocab_size()}
    pad = tokens().token_to_id("<|video_pad|>")
    return Qwen2VLConfig(**{**SIZES, "text_config": text}, video_token_id=pad)


def seeded(kind: Any) -> Any:
    """A model of this class whose weights are drawn wide enough that inputs make a difference."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = kind(config())
        for value in network.parameters():
            if value.ndim > 1:
                torch.nn.init.normal_(value, std=0.2)
    return frozen(network, "cpu", torch.float32)


def head() -> Tensor:
    return torch.randn(32, generator=torch.Generator().manual_seed(2))


def video_reward(dtype: torch.dtype = torch.float32) -> VideoReward:
    network = seeded(Qwen2VLModel).to(dtype)
    return VideoReward(network, head(), Reader(tokenizer(), network.config, SMALL), WORDS)


def versus(dtype: torch.dtype = torch.float32) -> Versus:
    network = seeded(Qwen2VLForConditionalGeneration).to(dtype)
    return Versus(network, Reader(tokenizer(), network.config, SMALL), "tiny")


def adapted() -> PeftModel:
    """The network with adapters that do something, as VideoReward was trained."""
    network = seeded(Qwen2VLModel)
    linear = [name for name, module in network.language_model.named_modules()
              if isinstance(module, torch.nn.Linear)]  # fmt: skip
    targets = [f"language_model.{name}" for name in linear]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        made = get_peft_model(
            network, LoraConfig(r=4, lora_alpha=8, target_modules=targets, init_lora_weights=False)
        )
    return made.eval()


def publish(folder: Path, model: PeftModel) -> None:
    """Files under the names that VideoReward's have: peft on transformers 4.45."""
    inner = folder / "videoreward" / published.CHECKPOINT
    (inner / "tokenizer").mkdir(parents=True)
    tokens().save(str(inner / "tokenizer" / "tokenizer.json"))
    state = {name.replace(".language_model.", ".model."): value
             for name, value in model.state_dict().items()}  # fmt: skip
    vocab = state["base_model.model.model.embed_tokens.weight"]
    state |= {"base_model.model.lm_head.weight": vocab.clone(),
              "base_model.model.rm_head.weight": head()[None]}  # fmt: skip
    torch.save(state, inner / "model.pth")
    said = {
        "data_config": {"fps": SMALL.fps, "max_frame_pixels": SMALL.most},
        "peft_lora_config": {"lora_alpha": 8, "lora_r": 4},
    }
    (folder / "videoreward" / "model_config.json").write_text(json.dumps(said))
    words = folder / "videoreward-words" / "prompt_template.py"
    words.parent.mkdir()
    words.write_text(f'raise SystemExit("not to be run")\n{published.WORDS} = """{WORDS}"""\n')


def save_chat(folder: Path) -> Path:
    """A tiny Qwen2-VL as transformers saves it, with its tokenizer."""
    seeded(Qwen2VLForConditionalGeneration).save_pretrained(folder)
    tokens().save(str(folder / "tokenizer.json"))
    return folder
