"""Is the clip predictable: what V-JEPA 2 expects behind a mask against what is there.

The VADER paper names a V-JEPA reward and its repository has none; this is ours, after Assran et al.
2025 (arXiv 2506.09985) and the training objective of V-JEPA. Targets: the encoder's features of the
whole clip, each token to mean 0 and deviation 1. Context: the encoder on the tokens outside the
mask alone. The predictor says what is behind the mask. Raw value: minus the mean absolute
difference over masked tokens, mean over two masks: 8 blocks of 15 % and 2 blocks of 70 % of the
picture, through all frames. 16 frames of 256 px. At most 0; higher is more predictable.

Passing masks to the library's model encodes all tokens first and masks afterwards, so that what is
hidden leaks into the context. Here the hidden patches never enter the encoder.

The masks come from `seed` alone: every clip of a database sees the same ones. The gradient goes
through the prediction only; `through_target` lets it through the target too. A frozen clip is
perfectly predictable: never train on this alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from scorers import resize, weights
from scorers.chunks import in_groups
from scorers.nets.stored import frozen, pretrained
from scorers.protocol import Card, check

WEIGHTS = ("vjepa2",)
CARD = Card(
    summary="V-JEPA 2 predicts what is behind a mask (predictability; a frozen clip wins)",
    ranges={"predictability": (-float("inf"), 0.0)},
    differentiable=True,
    weights=WEIGHTS[0],
    licence="MIT or Apache-2.0",
)
FRAMES = 16
BLOCKS = ((8, 0.15), (2, 0.7))
"""Number of blocks and the share of the picture that each covers, per mask."""
_ASPECTS = (0.75, 1.5)


class VJepa:
    """The scorer `vjepa`."""

    name = "vjepa"
    dimensions = tuple(CARD.ranges)
    differentiable = CARD.differentiable

    def __init__(
        self, network: Any, *, seed: int = 0, frames: int = FRAMES,
        through_target: bool = False,
    ) -> None:  # fmt: skip
        """Draws the masks.

        Args:
            network: A `VJEPA2Model`.
            seed: Of the masks.
            frames: That a clip is taken at; a multiple of the network's tubelets.
            through_target: Let the gradient through the target too.
        """
        self.version = f"1-{seed}"
        self._network, self._frames, self._through = network, frames, through_target
        config = network.config
        side = config.crop_size // config.patch_size
        draw = torch.Generator().manual_seed(seed)
        depth = frames // config.tubelet_size
        self._masks = [hidden(side, depth, count, share, draw) for count, share in BLOCKS]

    def __call__(
        self, frames: Float[Tensor, "b t c h w"], prompts: Sequence[str], fps: Sequence[float]
    ) -> Float[Tensor, "b d"]:
        """The predictability per clip; `prompts` and `fps` play no part."""
        del prompts, fps
        check(frames)
        side = self._network.config.crop_size
        clips = resize.resampled(frames, self._frames)
        small = resize.centre(
            resize.shorter(clips.flatten(0, 1), side, mode="bilinear", antialias=True), side
        )
        seen = resize.normalised(small, resize.IMAGENET_MEAN, resize.IMAGENET_STD)
        batch = seen.unflatten(0, clips.shape[:2]).to(self._network.device, self._network.dtype)
        return in_groups(self._value, batch, at_once=1)[:, None]

    def _value(self, clip: Float[Tensor, "1 t 3 s s"]) -> Float[Tensor, " 1"]:
        patches = self._network.encoder.embeddings(clip)
        everything = torch.arange(patches.shape[1], device=clip.device)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self._through):
            whole = self._encoded(patches, everything).float()
            target = F.layer_norm(whole, whole.shape[-1:])
        misses = [self._missed(patches, target, mask.to(clip.device)) for mask in self._masks]
        return -torch.stack(misses).mean(0)

    def _missed(
        self, patches: Float[Tensor, "1 n d"], target: Float[Tensor, "1 n d"], mask: Tensor
    ) -> Float[Tensor, " 1"]:
        """Mean absolute difference of prediction and target behind one mask (True: hidden)."""
        context, behind = (~mask).nonzero()[:, 0], mask.nonzero()[:, 0]
        known = self._encoded(patches[:, context], context)
        spread = torch.zeros_like(patches).index_copy(1, context, known)
        made = self._network.predictor(spread, [context[None]], [behind[None]]).last_hidden_state
        return (made.float() - target[:, behind]).abs().mean((1, 2))

    def _encoded(
        self, patches: Float[Tensor, "1 n d"], places: Int[Tensor, " n"]
    ) -> Float[Tensor, "1 n d"]:
        """The encoder on these patches alone, each at its place."""
        hidden_states = patches
        for layer in self._network.encoder.layer:
            hidden_states = layer(hidden_states, places[None])[0]
        return self._network.encoder.layernorm(hidden_states)


def hidden(side: int, depth: int, count: int, share: float, draw: torch.Generator) -> Tensor:
    """A mask over `depth` x `side` x `side` tokens, True where hidden; never all of them.

    Args:
        side: Tokens per side of a frame.
        depth: Tokens in time.
        count: Blocks, which may overlap.
        share: Of the frame that each covers.
        draw: Where the places and shapes of the blocks come from.
    """
    mask = torch.zeros(side, side, dtype=torch.bool)
    for _ in range(count):
        low, high = _ASPECTS
        aspect = low + (high - low) * torch.rand((), generator=draw).item()
        tall = min(side, max(1, round((share * aspect) ** 0.5 * side)))
        wide = min(side, max(1, round((share / aspect) ** 0.5 * side)))
        top = int(torch.randint(side - tall + 1, (), generator=draw))
        left = int(torch.randint(side - wide + 1, (), generator=draw))
        mask[top : top + tall, left : left + wide] = True
    if bool(mask.all()):
        mask[0, 0] = False
    return mask.flatten().repeat(depth)


def load(
    *, device: Any = "cpu", dtype: torch.dtype = torch.float32, weights_dir: Any = None,
    seed: int = 0, through_target: bool = False,
) -> VJepa:  # fmt: skip
    """The reward with its published weights."""
    from transformers import VJEPA2Model

    network = pretrained(VJEPA2Model.from_pretrained, weights.find(WEIGHTS[0], weights_dir))
    return VJepa(frozen(network, device, dtype), seed=seed, through_target=through_target)
