"""Which of two clips is better, asked of a Qwen2-VL in words: a judge (`scorers.pairwise`).

The network is shown clip A, clip B and the prompt, and asked for one letter. Its opinion is the
difference of the two letters' next-token logits, in float32 whatever the network is in (bfloat16
has steps of 1/8 at 16): no text is generated, so nothing is random. Any checkpoint of the
architecture will do: by default Qwen2-VL-2B-Instruct, which nobody fitted to compare clips, so
measure it against people first (`python -m data.agree --profile versus`); a fine-tuned one by
`--judge-model FOLDER`.

The question is ours. Left out on purpose: judges that reason in text before they answer
(UnifiedReward-Think, VR-Thinker): seconds per comparison, and another answer each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from data.errors import UserError
from scorers import weights
from scorers.nets import qwen2vl
from scorers.nets.qwen2vl import Reader, Sight
from scorers.nets.stored import frozen, pretrained
from scorers.protocol import Card, check

WEIGHTS = ("qwen2-vl-2b",)
CARD = Card(
    summary="which of two clips is better, by the letter that a Qwen2-VL answers; compares pairs",
    ranges={"preference": (-float("inf"), float("inf"))},
    differentiable=False,
    weights=WEIGHTS[0],
    licence="Apache-2.0",
)
QUESTION = (
    "Clip A: {video}\nClip B: {video}\n"
    "Both clips were made from this description: {prompt}\n"
    "Which clip is better? Look at how well it fits the description, how good its pictures are, "
    "and how natural its motion is. Answer with one letter, A or B."
)
SIGHT = Sight(most=448 * 448 // 2)
"""Half of VideoReward's area per frame: two clips share one sequence."""


class Versus:
    """The judge `versus`."""

    name = "versus"
    dimensions = tuple(CARD.ranges)

    def __init__(self, network: Any, reader: Reader, model: str) -> None:
        """The judge with this network.

        Args:
            network: A `Qwen2VLForConditionalGeneration`.
            reader: With the network's tokenizer.
            model: Name of the checkpoint, for the version.
        """
        half = network.dtype != torch.float32
        self.version = f"1-{model}" + (f"-{network.dtype}".replace("torch.", "") if half else "")
        self._network, self._reader = network, reader
        self._letters = [reader.token(letter) for letter in "AB"]

    @torch.inference_mode()
    def __call__(
        self,
        left: Float[Tensor, "b t c h w"],
        right: Float[Tensor, "b s c i j"],
        prompts: Sequence[str],
        fps: Sequence[tuple[float, float]],
    ) -> Float[Tensor, "b d"]:
        """Log-odds of the letter A, which names the left clip, against B; without gradients."""
        check(left)
        check(right)
        device = self._network.device
        pairs = zip(left.to(device), right.to(device), prompts, fps, strict=True)
        return torch.stack([self._odds(pair[:2], *pair[2:]) for pair in pairs])[:, None]

    def _odds(
        self, clips: Sequence[Tensor], prompt: str, fps: tuple[float, float]
    ) -> Float[Tensor, ""]:
        words = QUESTION.format(video=qwen2vl.VIDEO, prompt=qwen2vl.plain(prompt))
        read = self._reader(qwen2vl.chat(words), clips, fps)
        last = self._network.model(
            input_ids=read.ids,
            pixel_values_videos=read.patches,
            video_grid_thw=read.grid,
            mm_token_type_ids=read.kinds,
            use_cache=False,
        ).last_hidden_state[0, -1]
        a, b = self._network.lm_head.weight[self._letters].float() @ last.float()
        return a - b


def load(
    *, device: Any = "cpu", dtype: torch.dtype = torch.float32, weights_dir: Any = None,
    model: str = "",
) -> Versus:  # fmt: skip
    """The judge with its published weights, or with those in the folder `model`.

    Raises:
        UserError: `model` is not a folder with a Qwen2-VL.
        MissingWeightsError: the weights are not here, or are damaged.
    """
    from transformers import PreTrainedTokenizerFast, Qwen2VLForConditionalGeneration

    folder = Path(model).expanduser() if model else weights.find(WEIGHTS[0], weights_dir)
    for name in ("config.json", "tokenizer.json"):
        if not (folder / name).is_file():
            raise UserError(
                f"--judge-model is {model}, where there is no {name}; give the folder of a "
                "Qwen2-VL as transformers saves it"
            )
    network = pretrained(Qwen2VLForConditionalGeneration.from_pretrained, folder)
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    reader = Reader(tokenizer, network.config, SIGHT)
    return Versus(frozen(network, device, dtype), reader, folder.resolve().name)
