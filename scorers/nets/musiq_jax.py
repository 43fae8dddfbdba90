"""MUSIQ's original checkpoint, arrays of JAX in a NumPy archive, under the names of `Musiq`.

The archive (`spaq_ckpt.npz` of google-research/musiq, Apache-2.0) holds the weights under
`opt/target/`, a part of the path per module; an optimiser's arrays beside them are passed over.
Kernels of convolutions are stored as height, width, in, out, of dense layers as in, out, of
attention with the heads apart: in, head, width, and head, width, out.

Only the weights are taken. What `Musiq` does with them is what VBench does, on a conversion of the
same weights: exact GELU, deviations that count n - 1, bicubic scales. JAX's own code has GELU by
tanh, counts n, and scales by a Gaussian. Not tried with the published file, which was not at hand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

_TARGET = "opt/target/"
_NAMES = (
    (r"block1/unit1/", "block1/"),
    (r"Transformer/", "transformer_encoder/"),
    (r"posembed_input/pos_embedding", "posembed_input/position_emb"),
    (r"scaleembed_input/scale_embedding", "scaleembed_input/scale_emb"),
    (r"encoderblock_", "transformer/encoderblock_"),
    (r"LayerNorm_0/", "norm1/"),
    (r"LayerNorm_\d+/", "norm2/"),
    (r"\w*Attention_\d+/", "attention/"),
    (r"MlpBlock_\d+/Dense_0/", "mlp/fc1/"),
    (r"MlpBlock_\d+/Dense_1/", "mlp/fc2/"),
    (r"(kernel|scale)$", "weight"),
    (r"/", "."),
)


def state(arrays: Mapping[str, np.ndarray], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights under PyTorch's names, each in the shape that it has in `like`.

    Args:
        arrays: of the archive, by path.
        like: `state_dict` of the network that they are for.

    Raises:
        RuntimeError: an array does not have as many values as its place in the network.
    """
    found: dict[str, Tensor] = {}
    for path in arrays:
        if not path.startswith(_TARGET):
            continue
        name = named(path.removeprefix(_TARGET))
        value = torch.from_numpy(_turned(name, arrays[path]).astype(np.float32))
        found[name] = value.reshape(like[name].shape) if name in like else value
    return found


def named(path: str) -> str:
    """The name in `Musiq` of a path below `opt/target/`."""
    for pattern, new in _NAMES:
        path = re.sub(pattern, new, path)
    return path


def _turned(name: str, value: np.ndarray) -> np.ndarray:
    """Axes in PyTorch's order: out first."""
    if name.endswith(".out.weight"):
        return value.reshape(-1, value.shape[-1]).T
    if name.endswith((".query.weight", ".key.weight", ".value.weight")):
        return value.reshape(value.shape[0], -1).T
    if name.endswith(".weight") and value.ndim == 4 and value.shape[:3] != (1, 1, 1):
        return value.transpose(3, 2, 0, 1)
    return value.T if name.endswith(".weight") and value.ndim == 2 else value
