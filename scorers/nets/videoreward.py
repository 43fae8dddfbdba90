"""VideoReward's published files: a Qwen2-VL-2B whose adapters are not folded in, a head, words.

What `KlingTeam/VideoReward` holds (VideoAlign, arXiv 2501.13918): `model_config.json`; in
`checkpoint-11352/model.pth` all 1123 tensors of the base model, of rank-64 adapters on the seven
linear maps of each of the 28 text layers, and of the reward head, under the names that peft and
transformers 4.45 gave them; and the tokenizer, with one token more for each of three questions. So
the base model itself need not be downloaded. Folding in is exact: `W + alpha / rank * B A`.

The network was taught with the very words that it is asked with. They are data of the checkpoint as
much as its numbers, and stand in VideoAlign's `prompt_template.py`: read from there, never run.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedTokenizerFast, Qwen2VLConfig, Qwen2VLModel

from scorers import weights
from scorers.nets.qwen2vl import PAD, Sight
from scorers.nets.stored import tensors

CHECKPOINT = "checkpoint-11352"
ASKED = ("<|VQ_reward|>", "<|MQ_reward|>", "<|TA_reward|>")
"""Tokens at which visual quality, motion quality and text alignment are read."""
WORDS = "DETAILED_PROMPT_WITH_SPECIAL_TOKEN"
PROMPT = "{text_prompt}"
BASE: dict[str, Any] = {
    "text_config": {
        "hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28,
        "num_attention_heads": 12, "num_key_value_heads": 2, "rms_norm_eps": 1e-6,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6,
                            "mrope_section": [16, 24, 24]},
    },
    "vision_config": {"depth": 32, "embed_dim": 1280, "hidden_size": 1536, "num_heads": 16},
}  # fmt: skip
"""Sizes of Qwen2-VL-2B."""
_RENAMED = (
    (r"^base_model\.model\.visual\.", "visual."),
    (r"^base_model\.model\.model\.", "language_model."),
    (r"\.base_layer\.", "."),
)


def sight(settings: Mapping[str, Any]) -> Sight:
    """How closely clips are looked at, from `model_config.json`: 2 fps, 448 x 448 px at most."""
    data = settings["data_config"]
    return Sight(fps=data["fps"], most=data["max_frame_pixels"])


def settings(path: Path) -> dict[str, Any]:
    """What `model_config.json` says.

    Raises:
        MissingWeightsError: the file is damaged.
    """
    try:
        return json.loads(path.read_text("utf-8"))
    except ValueError as problem:
        raise weights.damaged(path, problem) from problem


def words(path: Path) -> str:
    """The question with `PROMPT` where the prompt goes, from VideoAlign's source; it is not run.

    Raises:
        MissingWeightsError: it is not there, or lacks one of its marks.
    """
    try:
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == WORDS:
                text = str(ast.literal_eval(node.value))
                if all(text.count(mark) == 1 for mark in (*ASKED, PROMPT)):
                    return text
        raise ValueError(f"no {WORDS} with {', '.join((*ASKED, PROMPT))} once each")
    except (ValueError, SyntaxError) as problem:
        raise weights.damaged(path, problem) from problem


def tokenizer(path: Path) -> PreTrainedTokenizerFast:
    """The tokenizer in `tokenizer.json`, which knows the three questions.

    Raises:
        MissingWeightsError: it is damaged, or the base model's.
    """
    try:
        json.loads(path.read_text("utf-8"))  # the library names no error for a broken file
        found = PreTrainedTokenizerFast(tokenizer_file=str(path))
        known = found.get_vocab()
        if lost := [mark for mark in (*ASKED, PAD) if mark not in known]:
            raise ValueError(f"it does not know {lost[0]}")
    except (OSError, ValueError) as problem:
        raise weights.damaged(path, problem) from problem
    return found


def network(
    path: Path, settings: Mapping[str, Any], dtype: torch.dtype, pad: int
) -> tuple[Qwen2VLModel, Float[Tensor, " d"]]:
    """The network without its language head, and the reward head in float32.

    Args:
        path: Of `model.pth`.
        settings: What `model_config.json` says.
        dtype: Of the network.
        pad: Number of the token that stands for a piece of a clip.

    Raises:
        MissingWeightsError: the file is damaged, or names and shapes are not VideoReward's.
    """
    published = tensors(path)
    try:
        lora = settings["peft_lora_config"]
        head = published.pop("base_model.model.rm_head.weight").float()[0]
        state = folded(published, lora["lora_alpha"] / lora["lora_r"], dtype)
        vocabulary = len(state["language_model.embed_tokens.weight"])
        text = {**BASE["text_config"], "vocab_size": vocabulary}
        config = Qwen2VLConfig(**{**BASE, "text_config": text}, video_token_id=pad)
        build: Any = Qwen2VLModel.from_pretrained  # with its report it returns two things
        made, report = build(
            None, config=config, state_dict=state, dtype=dtype, output_loading_info=True
        )
        if lost := sorted({*report["missing_keys"], *report["unexpected_keys"]}):
            raise ValueError(f"{len(lost)} names do not fit, such as {lost[0]}")
    except (KeyError, ValueError, RuntimeError) as problem:
        raise weights.damaged(path, problem) from problem
    return made, head


def folded(published: Mapping[str, Tensor], scale: float, dtype: torch.dtype) -> dict[str, Tensor]:
    """Tensors under today's names, each adapter folded into its map: `W + scale * B A`.

    The language head is left out: nothing is generated.
    """
    found = {}
    for name, value in published.items():
        if ".lora_" in name or ".lm_head." in name:
            continue
        new = name
        for pattern, instead in _RENAMED:
            new = re.sub(pattern, instead, new)
        if ".base_layer.weight" in name:
            down, up = (
                published[name.replace("base_layer.weight", f"lora_{which}.default.weight")]
                for which in "AB"
            )
            value = value.float() + scale * (up.float() @ down.float())
        found[new] = value.to(dtype)
    return found
